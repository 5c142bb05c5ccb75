//! What is promised of tokens, codes, tickets, links and sessions.

use parlor_crypto::vault::Vault;
use parlor_storage::{OpenOptions, Store};

use super::*;

const HOME: &str = "abababababababababababababababababababababababababababababababab";

fn tokens() -> Tokens {
    Tokens::new(Zeroizing::new(HOME.into()))
}

fn session(tokens: &Tokens) -> (String, Grant) {
    let code = tokens.code().unwrap();
    let opened = tokens.open_session(&code, "Browser/1").unwrap();
    let grant = tokens.check(Some(&opened.token)).unwrap();
    (opened.token, grant)
}

fn code_of<T>(answer: Result<T, Problem>) -> Code {
    answer.map(drop).unwrap_err().code
}

#[tokio::test(start_paused = true)]
async fn guessing_is_slowed_down_and_locks_nobody_out() {
    let tokens = tokens();
    let (token, _) = session(&tokens);
    for _ in 0..limits::FAILURES {
        assert_eq!(code_of(tokens.check(Some("guess"))), Code::Unauthorized);
    }
    assert_eq!(code_of(tokens.check(None)), Code::RateLimited);
    assert_eq!(code_of(tokens.open_session("guess", "")), Code::RateLimited);
    assert_eq!(tokens.check(Some(HOME)).unwrap().scope, Scope::All);
    assert_eq!(tokens.check(Some(&token)).unwrap().scope, Scope::All);
    tokio::time::advance(limits::FAILURE_WINDOW * 2).await;
    assert_eq!(code_of(tokens.check(None)), Code::Unauthorized);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_works_once_and_only_for_a_short_time() {
    let tokens = tokens();
    let (_, grant) = session(&tokens);
    let ticket = tokens.ticket(&grant).unwrap();
    assert_eq!(tokens.redeem(&ticket).unwrap().who, grant.who);
    assert!(tokens.redeem(&ticket).is_err());
    let late = tokens.ticket(&grant).unwrap();
    tokio::time::advance(limits::TICKET_TIME).await;
    assert!(tokens.redeem(&late).is_err());
}

#[tokio::test(start_paused = true)]
async fn unused_tickets_and_codes_are_bounded() {
    let tokens = tokens();
    let home = tokens.check(Some(HOME)).unwrap();
    let (_, other) = session(&tokens);
    (0..limits::TICKETS_EACH).for_each(|_| drop(tokens.ticket(&home).unwrap()));
    assert_eq!(code_of(tokens.ticket(&home)), Code::Busy);
    assert!(tokens.ticket(&other).is_ok(), "nobody takes the tickets of others");
    (0..limits::CODES).for_each(|_| drop(tokens.code().unwrap()));
    assert_eq!(code_of(tokens.code()), Code::Busy);
    tokio::time::advance(limits::CODE_TIME).await;
    assert!(tokens.ticket(&home).is_ok() && tokens.code().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_code_opens_one_session_within_a_minute() {
    let tokens = tokens();
    let code = tokens.code().unwrap();
    assert!(tokens.open_session(&code, "").is_ok());
    assert_eq!(code_of(tokens.open_session(&code, "")), Code::Unauthorized);
    let late = tokens.code().unwrap();
    tokio::time::advance(limits::CODE_TIME).await;
    assert_eq!(code_of(tokens.open_session(&late, "")), Code::Unauthorized);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_after_a_month_and_after_a_week_of_silence() {
    let tokens = tokens();
    let (token, _) = session(&tokens);
    let step = limits::SESSION_IDLE - std::time::Duration::from_secs(1);
    let mut lasted = std::time::Duration::ZERO;
    while lasted + step < limits::SESSION_TIME {
        tokio::time::advance(step).await;
        lasted += step;
        assert!(tokens.check(Some(&token)).is_ok(), "it is used");
    }
    tokio::time::advance(step).await;
    assert_eq!(code_of(tokens.check(Some(&token))), Code::Unauthorized, "a month is over");
    let (token, _) = session(&tokens);
    tokio::time::advance(limits::SESSION_IDLE).await;
    assert_eq!(code_of(tokens.check(Some(&token))), Code::Unauthorized, "a week of silence");
}

#[tokio::test]
async fn of_too_many_sessions_the_one_unused_longest_goes() {
    let tokens = tokens();
    let all: Vec<_> = (0..=limits::SESSIONS).map(|_| session(&tokens).0).collect();
    assert!(tokens.check(Some(&all[0])).is_err());
    assert!(all[1..].iter().all(|token| tokens.check(Some(token)).is_ok()));
}

#[tokio::test]
async fn with_a_session_end_its_streams_tickets_and_links() {
    let tokens = tokens();
    let (token, mut grant) = session(&tokens);
    let ticket = tokens.ticket(&grant).unwrap();
    let link = tokens.sign(&grant, "/p");
    let signed = link.strip_prefix("/p?signed=").unwrap();
    assert_eq!(tokens.open_link("/p", signed).unwrap().who, grant.who);
    let other = session(&tokens).1;
    let list = tokens.sessions(&grant);
    assert_eq!((list.len(), list.iter().filter(|one| one.this).count(), &*list[0].agent), (2, 1, "Browser/1"));
    let Who::Session(id) = grant.who.clone() else { panic!("it is a session") };
    tokens.end_session(&id).unwrap();
    grant.over().await;
    assert_eq!(code_of(tokens.check(Some(&token))), Code::Unauthorized);
    assert_eq!(code_of(tokens.redeem(&ticket)), Code::Unauthorized);
    assert_eq!(code_of(tokens.open_link("/p", signed)), Code::Unauthorized);
    assert_eq!(tokens.sessions(&other).len(), 1);
    assert_eq!(code_of(tokens.end_session(&id)), Code::NotFound);
    tokens.end_session("all").unwrap();
    assert!(tokens.sessions(&other).is_empty());
}

#[tokio::test]
async fn while_it_is_locked_a_session_gets_nothing_and_the_home_everything() {
    let tokens = tokens();
    let (token, mut grant) = session(&tokens);
    let ticket = tokens.ticket(&grant).unwrap();
    let link = tokens.sign(&grant, "/p");
    tokens.lock();
    grant.over().await;
    assert_eq!(code_of(tokens.check(Some(&token))), Code::PassphraseNeeded);
    assert_eq!(code_of(tokens.redeem(&ticket)), Code::PassphraseNeeded);
    assert_eq!(code_of(tokens.open_link("/p", link.strip_prefix("/p?signed=").unwrap())), Code::PassphraseNeeded);
    assert!(tokens.check_locked_too(Some(&token)).is_ok() && tokens.check(Some(HOME)).is_ok());
    tokens.unlock();
    assert!(tokens.check(Some(&token)).is_ok());
}

fn store(dir: &std::path::Path) -> Store {
    let vault = Vault::generate(&mut crate::account::rng());
    Store::open(&dir.join("store"), &vault, OpenOptions::default()).unwrap()
}

fn new(name: &str, scope: Scope, rooms: &[&str]) -> NewToken {
    NewToken { name: name.into(), scope, rooms: rooms.iter().map(|room| (*room).to_owned()).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_script_lasts_until_it_is_revoked_and_is_kept_as_its_hash() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let tokens = tokens();
    let made = tokens.make(&store, new("bot", Scope::Send, &["aa"])).await.unwrap();
    let token = made.token.clone().unwrap();
    let grant = tokens.check(Some(&token)).unwrap();
    assert_eq!((grant.scope, grant.rooms()), (Scope::Send, vec!["aa".to_owned()]));
    let listed = tokens.scripts();
    assert!(listed.len() == 1 && listed[0].token.is_none() && listed[0].used_at.is_some(), "{listed:?}");
    // As after a restart of the node.
    let later = Tokens::new(Zeroizing::new(HOME.into()));
    later.load(&store).unwrap();
    let mut grant = later.check(Some(&token)).unwrap();
    assert_eq!((grant.scope, grant.is_for("aa"), grant.is_for("bb")), (Scope::Send, true, false));
    let kept = store.get(None, parlor_storage::Namespace::Meta, b"tokens").unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains(&token));
    later.revoke(&store, &made.id).await.unwrap();
    grant.over().await;
    assert_eq!(code_of(later.check(Some(&token))), Code::Unauthorized);
    let again = Tokens::new(Zeroizing::new(HOME.into()));
    again.load(&store).unwrap();
    assert_eq!(code_of(again.check(Some(&token))), Code::Unauthorized);
    assert_eq!(code_of(again.revoke(&store, &made.id).await), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_revoking_met_a_failing_disk_opens_nothing_and_can_be_revoked_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let tokens = tokens();
    let made = tokens.make(&store, new("bot", Scope::Send, &[])).await.unwrap();
    let token = made.token.clone().unwrap();
    let mut grant = tokens.check(Some(&token)).unwrap();
    store.break_disk(1);
    tokens.revoke(&store, &made.id).await.unwrap_err();
    grant.over().await;
    assert_eq!(code_of(tokens.check(Some(&token))), Code::Unauthorized);
    assert_eq!(tokens.scripts().len(), 1, "listed, so that it can be revoked again");
    while tokens.revoke(&store, &made.id).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(tokens.scripts().is_empty());
    let later = Tokens::new(Zeroizing::new(HOME.into()));
    later.load(&store).unwrap();
    assert_eq!(code_of(later.check(Some(&token))), Code::Unauthorized);
}

#[tokio::test]
async fn no_token_of_a_script_takes_the_streams_of_others() {
    let tokens = tokens();
    let (script, other) = (Grant::of_script(Scope::Read, &[]), session(&tokens).1);
    let held: Vec<_> = (0..limits::FEEDS_EACH).map(|_| tokens.place(&script).unwrap()).collect();
    assert_eq!(code_of(tokens.place(&script)), Code::Busy);
    tokens.place(&other).unwrap();
    drop(held);
    tokens.place(&script).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_of_a_script_makes_tokens_and_their_number_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let tokens = tokens();
    assert_eq!(code_of(tokens.make(&store, new("bot", Scope::All, &[])).await), Code::BadRequest);
    for name in ["", " ", "a\nb", &"n".repeat(65)] {
        assert_eq!(code_of(tokens.make(&store, new(name, Scope::Read, &[])).await), Code::BadRequest, "{name}");
    }
    for _ in 0..limits::SCRIPT_TOKENS {
        tokens.make(&store, new("bot", Scope::Manage, &[])).await.unwrap();
    }
    assert_eq!(code_of(tokens.make(&store, new("bot", Scope::Read, &[])).await), Code::Conflict);
}
