//! What a link promises.

use parlor_crypto::Secret;
use parlor_crypto::secret::SecretBytes;

use super::*;

fn device() -> SigningKey {
    SigningKey::from_seed(&Secret::new([5; 32]))
}

fn caveats() -> Caveats {
    let perms = Permissions(3);
    Caveats { power: Power(3), perms, expires_ms: 1_800_000_000_000, max_uses: 10, sponsor: Sponsor::AnyMember }
}

fn ip4(last: u8) -> Address {
    Address { host: Host::Ip4([192, 168, 178, last]), transport: Transport::Tcp, port: 40_000 }
}

fn ip6(last: u8) -> Address {
    Address { host: Host::Ip6([last; 16]), transport: Transport::Quic, port: 40_001 }
}

fn link(addresses: &[Address]) -> Link {
    let seed = InviteSeed::from_secret(SecretBytes::new([9; 16]));
    Link::issue(seed, RoomId([0xee; 32]), caveats(), &device(), [0x77; 32], addresses)
}

fn forms(link: &Link) -> [String; 4] {
    let text = link.to_text();
    let bare = text.replace('#', "");
    [text, bare, link.to_web_text("parlor.example"), link.to_qr_text()]
}

#[test]
fn every_form_says_the_same_and_is_short() {
    let link = link(&[ip4(1), ip6(2), ip4(3)]);
    assert_eq!(link.addresses().len(), 3);
    for text in forms(&link) {
        assert_eq!(Link::parse(&text, 0).as_ref(), Ok(&link), "{text}");
        assert_eq!(Link::parse(&format!(" {text}\r\n"), 0).as_ref(), Ok(&link));
        assert!(text.len() <= MAX_TEXT, "{} characters", text.len());
    }
    let usual = self::link(&[ip4(1), ip4(2), ip4(3)]).to_text();
    assert!(usual.len() <= 310, "{} characters", usual.len());
    assert!(link.to_qr_text().chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || ":/".contains(c)));
}

#[test]
fn addresses_that_do_not_fit_are_left_out() {
    let name = Address { host: Host::Name("x".repeat(MAX_NAME)), ..ip4(1) };
    let long = Address { host: Host::Name("x".repeat(MAX_NAME + 1)), ..ip4(1) };
    let strange = Address { host: Host::Name("a/b".into()), ..ip4(1) };
    let link = link(&[long, strange, ip6(1), ip6(2), name, ip6(3), ip4(4), ip4(5)]);
    assert_eq!(link.addresses(), [ip6(1), ip6(2)]);
    assert!(forms(&link).iter().all(|text| text.len() <= MAX_TEXT && Link::parse(text, 0).is_ok()));
}

fn via(address: Address) -> Address {
    address.via([0xab; 32]).unwrap()
}

#[test]
fn a_link_with_a_relay_is_of_version_2_and_as_short() {
    let name = Address { host: Host::Name("relay.example.org".into()), ..ip4(1) };
    for relay in [via(ip4(9)), via(name), via(ip6(3))] {
        let link = link(&[ip4(1), relay.clone(), ip4(2)]);
        assert_eq!(link.addresses().get(..2), Some(&[ip4(1), relay.clone()][..]));
        assert_eq!((relay.relay(), relay.via([1; 32])), (Some(&[0xab; 32]), None));
        for text in forms(&link) {
            assert!(text.contains("/2/") || text.contains("#2/"), "{text}");
            assert!(text.len() <= MAX_TEXT, "{} characters", text.len());
            assert_eq!(Link::parse(&text, 0).as_ref(), Ok(&link), "{text}");
            let older = text.replacen("/2/", "/1/", 1).replacen("#2/", "#1/", 1);
            assert_eq!(Link::parse(&older, 0), Err(LinkError::Damaged), "{older}");
        }
    }
    assert_eq!(via(ip4(9)).of_relay(), Some(ip4(9)));
    assert_eq!(ip4(9).of_relay(), None);
}

#[test]
fn a_changed_or_lost_character_never_gives_another_link() {
    let (link, relayed) = (link(&[ip4(1), ip6(2)]), link(&[ip4(1), via(ip4(2))]));
    for (link, text) in
        forms(&link).map(|text| (&link, text)).into_iter().chain(forms(&relayed).map(|text| (&relayed, text)))
    {
        for place in 0..text.len() {
            for other in ["", "A", "b", "2", "-", "_", "#", "/", "é"] {
                let changed = format!("{}{other}{}", &text[..place], &text[place + 1..]);
                match Link::parse(&changed, 0) {
                    Ok(parsed) => assert_eq!(parsed, *link, "character {place} of {text}"),
                    Err(LinkError::BadSignature) => panic!("damage taken for a forgery at {place}"),
                    Err(_) => {}
                }
            }
        }
        for end in 0..text.len() {
            assert!(Link::parse(&text[..end], 0).is_err(), "cut at {end}");
        }
        assert!(Link::parse(&format!("{text}A"), 0).is_err());
    }
}

#[test]
fn every_refusal_has_its_reason() {
    let link = link(&[ip4(1)]);
    let text = link.to_text();
    let payload = text.strip_prefix("parlor://join/1/#").unwrap();
    let parse = |text: &str| Link::parse(text, 0).unwrap_err();
    assert_eq!(parse(""), LinkError::NotALink);
    assert_eq!(parse("https://example.com/"), LinkError::NotALink);
    assert_eq!(parse("mailto:somebody"), LinkError::NotALink);
    assert_eq!(parse(&format!("parlor://contact/1/{payload}")), LinkError::WrongKind(LinkKind::Contact));
    assert_eq!(parse(&format!("parlor://link/1#{payload}")), LinkError::WrongKind(LinkKind::Device));
    assert_eq!(parse(&format!("https://h/contact#1/{payload}")), LinkError::WrongKind(LinkKind::Contact));
    assert_eq!(parse(&format!("parlor://join/3/#{payload}")), LinkError::NewerVersion(3));
    assert_eq!(parse(&format!("parlor://join/2/#{payload}")), LinkError::Damaged);
    assert_eq!(parse("PARLOR://JOIN/17/AAAA"), LinkError::NewerVersion(17));
    assert_eq!(parse(&text[..text.len() - 3]), LinkError::Damaged);
    assert_eq!(Link::parse(&text, 1_800_000_000_001), Err(LinkError::Expired(1_800_000_000_000)));
    assert!(Link::parse(&text, 1_800_000_000_000).is_ok());
}

#[test]
fn a_forged_link_is_called_so() {
    let genuine = link(&[ip4(1)]);
    let mut forged = genuine.clone();
    forged.fields.addresses = vec![ip4(66)];
    assert_eq!(Link::parse(&forged.to_text(), 0), Err(LinkError::BadSignature));
    let mut stronger = genuine.clone();
    stronger.fields.caveats.power = Power(0);
    assert_eq!(Link::parse(&stronger.to_text(), 0), Err(LinkError::BadSignature));
    let mut other_seed = genuine;
    other_seed.fields.seed = InviteSeed::from_secret(SecretBytes::new([1; 16]));
    assert_eq!(Link::parse(&other_seed.to_text(), 0), Err(LinkError::BadSignature));
}
