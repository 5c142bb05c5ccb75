//! What clients say about messages: edits, deletions, reactions, pins, votes; and polls.
//!
//! Whether the room permits it is looked at before anything is written. What is said goes the way of every message: through the
//! outbox, once, in one durable commit; the answer is the message as it is then.

use parlor_api::{Code, CreatePoll, Message, PINS_MAX, Page, Problem, SendAnswer, Version};
use parlor_proto::annotation;
use parlor_proto::body::{Body, Edit, Pin, Poll, React, Redact, Text, Vote, mention};
use parlor_proto::room::{Refusal, Standing};
use parlor_proto::{DeviceId, EventId};
use parlor_storage::{Batch, Namespace, TimelineRow};

use super::entry::{After, Turn, damaged, names};
use super::folds::has_reacted;
use super::message::Reply;
use super::settle::Settle;
use super::sight::{Looked, Sight};
use super::wishes::{body_problem, nonce};
use crate::app::{Answer, Say};

impl Turn<'_> {
    /// Says something about a message, and answers it as it is then.
    pub(super) fn say(&mut self, target: EventId, say: Say, client_id: Option<String>, reply: Reply<Message>) {
        self.look_up(target, move |turn, found| {
            let said = found.and_then(|(looked, sight)| {
                let view = turn.folded_view(looked, &sight);
                Ok((turn.saying(looked, &view, &say)?, view))
            });
            match said {
                Err(problem) => drop(reply.send(Err(problem))),
                // It is so already.
                Ok((None, view)) => drop(reply.send(Ok(view))),
                Ok((Some(body), _)) => {
                    let nonce = nonce(client_id.as_deref());
                    turn.submit(vec![(nonce, body)], move |turn, sent| match sent {
                        Err(problem) => drop(reply.send(Err(problem))),
                        Ok(_) => turn.answer_message(target, reply),
                    });
                }
            }
        });
    }

    /// Answers a message as it is now.
    pub(super) fn answer_message(&mut self, id: EventId, reply: Reply<Message>) {
        self.look_up(id, move |turn, found| {
            drop(reply.send(found.map(|(looked, sight)| turn.folded_view(looked, &sight))));
        });
    }

    /// The body that says it; nothing when it is so already.
    fn saying(&self, looked: &Looked, view: &Message, say: &Say) -> Answer<Option<Body>> {
        let (target, me) = (looked.event.id(), self.context.identity.account());
        let (body, already) = match say {
            Say::Delete => (Body::Redact(Redact { target }), view.deleted),
            Say::Edit(text) => {
                let (text, mentions) = self.addressed(text);
                let same = view.text == mention::shown(&text, &mentions, |account| self.name_of(account));
                (Body::Edit(Edit { target, text, mentions }), same)
            }
            Say::React(emoji, on) => {
                let react = React { target, emoji: emoji.clone(), on: *on };
                (Body::React(react), has_reacted(view, emoji, &me) == *on)
            }
            Say::Pin(on) => (Body::Pin(Pin { target, on: *on }), view.pinned_by.is_some() == *on),
            Say::Vote(choices) => {
                let choices = choices.iter().map(|choice| u8::try_from(*choice).unwrap_or(u8::MAX)).collect();
                (Body::Vote(Vote { poll: target, choices }), false)
            }
        };
        self.entry.room.may_say(&body, &looked.author).map_err(|why| self.not_said(why, looked))?;
        if view.deleted && !already {
            let deleted = Problem::new(Code::Conflict, "the message was deleted");
            return Err(deleted.hint("nothing can be said about it any more"));
        }
        body.check().map_err(body_problem)?;
        match (&body, &looked.body) {
            (Body::Edit(edit), _) if edit.text.trim().is_empty() => {
                return Err(Problem::of(Code::EmptyText).hint("to take a message back: parlor delete ROOM ID"));
            }
            (Body::Edit(_), Some(Body::Text(_))) => {}
            (Body::Edit(_), _) => return Err(Problem::new(Code::Conflict, "only texts can be edited")),
            (Body::Vote(vote), Some(Body::Poll(poll))) if poll.allows(&vote.choices) => {}
            (Body::Vote(_), Some(Body::Poll(poll))) => return Err(no_choice(poll)),
            (Body::Vote(_), _) => return Err(Problem::new(Code::Conflict, "this message is no poll")),
            _ => {}
        }
        let same_vote = matches!(&body, Body::Vote(vote) if self.chose(view, &me.to_string()) == vote.choices);
        Ok((!already && !same_vote).then_some(body))
    }

    /// What an account chose in a poll.
    fn chose(&self, view: &Message, account: &str) -> Vec<u8> {
        let options = view.poll.iter().flat_map(|poll| poll.options.iter());
        let chosen = options.zip(0_u8..).filter(|(option, _)| option.votes.iter().any(|who| who == account));
        chosen.map(|(_, place)| place).collect()
    }

    fn not_said(&self, why: Refusal, looked: &Looked) -> Problem {
        let author = self.name_of(&looked.author);
        match why {
            Refusal::NotAuthor => {
                Problem::new(Code::NotPermitted, format!("{author} wrote it: only who did can edit it"))
                    .hint("react or answer instead")
            }
            Refusal::TooStrong => Problem::new(
                Code::NotPermitted,
                format!("{author} stands above you here: you can not delete what he wrote"),
            )
            .hint("somebody more senior in the room can"),
            Refusal::Direct => Problem::new(Code::NotPermitted, "in a direct chat each deletes what he wrote himself")
                .hint("block the other to hear nothing more: parlor contact block WHO"),
            other => self.refused(other),
        }
    }

    /// A text to be sent, with whom of the room it mentions.
    pub(super) fn addressed(&self, text: &str) -> (String, Vec<parlor_proto::AccountId>) {
        if !text.contains('@') {
            return (text.to_owned(), Vec::new());
        }
        let members = self.entry.room.members().into_iter();
        let people: Vec<_> = members.map(|member| (member.account, self.name_of(&member.account))).collect();
        mention::addressed(text, &people)
    }

    /// Asks a poll.
    pub(super) fn ask(&mut self, request: CreatePoll, reply: Reply<SendAnswer>) {
        let nonce = nonce(request.client_id.as_deref());
        let CreatePoll { question, options, several, .. } = request;
        let blank = question.trim().is_empty() || options.iter().any(|option| option.trim().is_empty());
        let body = Body::Poll(Poll { question, options, several });
        let checked = if blank { Err(Problem::of(Code::EmptyText)) } else { body.check().map_err(body_problem) };
        if let Err(problem) = checked {
            return drop(reply.send(Err(problem)));
        }
        self.submit(vec![(nonce, body)], move |_, sent| {
            let first = sent.and_then(|sent| sent.into_iter().next().ok_or_else(|| Problem::of(Code::Internal)));
            drop(reply.send(first));
        });
    }

    /// The messages that are pinned, the one pinned last first.
    pub(super) fn pins(&mut self, reply: Reply<Vec<Message>>) {
        let room = self.id();
        self.read(move |store| -> After {
            let found = store.remarks(&room, annotation::PINS, usize::MAX).map_err(damaged).and_then(|mut pins| {
                pins.sort_by_key(|pin| std::cmp::Reverse((pin.rank, pin.id)));
                let ids = pins.iter().filter_map(|pin| Some(EventId(pin.value.as_slice().try_into().ok()?)));
                let rows = ids.map(|id| super::reads::readable_row(store, &room, &id));
                let rows: Vec<_> = rows.collect::<Answer<Vec<_>>>()?.into_iter().flatten().collect();
                Ok((Sight::of(store, &room, &rows)?, rows))
            });
            Box::new(move |turn| match found {
                Err(problem) => drop(reply.send(Err(problem))),
                Ok((sight, rows)) => turn.when_seen(&rows, sight, move |turn, looked, sight| {
                    let views = looked.iter().map(|looked| turn.folded_view(looked, &sight));
                    drop(reply.send(Ok(views.filter(|view| view.pinned_by.is_some()).take(PINS_MAX).collect())));
                }),
            })
        });
    }

    /// The texts that a message had.
    pub(super) fn edits(&mut self, id: EventId, reply: Reply<Vec<Version>>) {
        let room = self.id();
        self.look_up(id, move |turn, found| {
            let (looked, mut sight) = match found {
                Ok((looked, sight)) => (looked.clone(), sight),
                Err(problem) => return drop(reply.send(Err(problem))),
            };
            let edits: Vec<_> = turn.fold(&looked, &sight).edits.iter().map(|edit| edit.id).collect();
            turn.read(move |store| -> After {
                let read = sight.add(store, &room, edits);
                Box::new(move |turn| drop(reply.send(read.map(|()| turn.versions(&looked, &sight)))))
            });
        });
    }

    /// A page of a thread, newest first, of what stands before a place.
    pub(super) fn thread(&mut self, root: EventId, before: Option<String>, limit: usize, reply: Reply<Page<Message>>) {
        /// Messages of one moment that stand at a place: the list is by time, and more of one time are not told apart.
        const MOMENT: usize = 16;
        let room = self.id();
        self.read(move |store| -> After {
            let found = (|| {
                let before = before.map(|text| super::reads::place(store, &room, &text)).transpose()?;
                let list = annotation::thread(&root);
                let most = limit.saturating_add(1 + MOMENT);
                let held = store.newest_remarks(&room, &list, before.map(|at| at.order()), most).map_err(damaged)?;
                let rows = held.iter().map(|entry| super::reads::readable_row(store, &room, &entry.id));
                let mut rows: Vec<TimelineRow> = rows.collect::<Answer<Vec<_>>>()?.into_iter().flatten().collect();
                rows.retain(|row| before.is_none_or(|before| row.position < before));
                rows.sort_by_key(|row| std::cmp::Reverse(row.position));
                let more = rows.len() > limit;
                rows.truncate(limit);
                Ok((Sight::of(store, &room, &rows)?, rows, more))
            })();
            Box::new(move |turn| match found {
                Err(problem) => drop(reply.send(Err(problem))),
                Ok((sight, rows, more)) => {
                    let older = rows.last().filter(|_| more).map(|row| row.position.to_string());
                    turn.when_seen(&rows, sight, move |turn, looked, sight| {
                        let items = looked.iter().map(|looked| turn.folded_view(looked, &sight)).collect();
                        drop(reply.send(Ok(Page { items, older, newer: None, holes: Vec::new() })));
                    });
                }
            })
        });
    }
}

/// What follows when annotations are part of the room.
impl Turn<'_> {
    /// Adds to a batch what of a message is kept where others look for it.
    pub(super) fn remark(&mut self, batch: &mut Batch, message: &parlor_proto::room::Message) {
        if message.unsafe_epoch
            && let Some(remark) = annotation::under_unsafe_keys(&message.event, &message.author, message.body.as_ref())
        {
            batch.remark(remark, message.fades_ms);
        }
        let Some(body) = &message.body else { return };
        if body.target().is_some() {
            batch.aside(message.event.id());
        }
        if let Body::Redact(Redact { target }) = body {
            // The keys go when this is durable and was looked at. What stands between may not keep them for ever.
            self.entry.deleted.insert(*target, false);
            batch.put(Namespace::Meta, &names::deleted(target), Vec::new());
        }
        for remark in self.entry.room.remarks(&message.event, message.order, body) {
            batch.remark(remark, message.fades_ms);
        }
    }

    /// A message looks otherwise now, or may: windows are told. Of what comes while it is looked at, once more afterwards.
    pub(super) fn touch(&mut self, target: EventId) {
        if let Some(again) = self.entry.touched.get_mut(&target) {
            *again = true;
            return;
        }
        self.entry.touched.insert(target, false);
        self.look_up(target, move |turn, found| {
            let code = found.as_ref().err().map(|problem| problem.code);
            let again = turn.entry.touched.remove(&target) == Some(true);
            if let Ok((looked, sight)) = found {
                let view = turn.folded_view(looked, &sight);
                let erased = turn.erasure(looked, &view, &sight);
                turn.erased(target, erased, again);
                if let Some((_, last)) = turn.entry.last.as_mut().filter(|(at, _)| *at == looked.position) {
                    last.clone_from(&view);
                    turn.summarise();
                }
                turn.publish(parlor_api::EventBody::MessageUpdated(Box::new(view)));
            } else if code == Some(Code::MessageNotFound) {
                // It is looked at when it comes.
                turn.erased(target, Batch::new(Some(turn.id())), again);
            }
            if again {
                turn.touch(target);
            }
        });
    }

    /// The room was loaded: looks at what was deleted, and was not looked at since.
    pub(super) fn go_on_erasing(&mut self) {
        // After a failed write it would fail again, and the room be read anew for it, again and again.
        if self.entry.rests(self.now_ms) {
            return;
        }
        let deleted: Vec<_> = self.entry.deleted.keys().copied().collect();
        deleted.into_iter().for_each(|target| self.touch(target));
    }

    /// A message that somebody may have deleted was looked at: takes away what `batch` does of it, and the row that says so, unless that
    /// came since, or is not durable yet: then it is looked at again.
    fn erased(&mut self, target: EventId, mut batch: Batch, again: bool) {
        if !again && self.entry.deleted.get(&target) == Some(&true) {
            self.entry.deleted.remove(&target);
            batch.delete(Namespace::Meta, &names::deleted(&target));
        }
        if !batch.is_empty() {
            self.hand_over(batch, Settle::default());
        }
    }

    /// Takes away the keys of those among these messages that their authors deleted, if they are here still: of homes in which that
    /// was cut short.
    pub(super) fn erase_left(&mut self, looked: &[Looked], sight: &Sight) {
        if self.entry.rests(self.now_ms) {
            return;
        }
        let redacts = |said: &annotation::Annotation| said.act == annotation::Act::Redact;
        for looked in looked.iter().filter(|looked| !looked.erased) {
            let about = sight.about(&looked.event.id());
            if about.is_some_and(|about| about.annotations.iter().any(redacts)) {
                let view = self.folded_view(looked, sight);
                self.erase_deleted(looked, &view, sight);
            }
        }
    }

    /// Of a message that its author deleted the keys go, and those of its later texts, also of one that comes afterwards. What a
    /// moderator deleted is hidden only: whether he still was one may turn out otherwise, when a removal comes that names where
    /// his acts end, and then all nodes show it again.
    pub(super) fn erase_deleted(&mut self, looked: &Looked, view: &Message, sight: &Sight) {
        let batch = self.erasure(looked, view, sight);
        if !batch.is_empty() {
            self.hand_over(batch, Settle::default());
        }
    }

    /// What takes those keys away; nothing if the message is not deleted so.
    fn erasure(&self, looked: &Looked, view: &Message, sight: &Sight) -> Batch {
        let mut batch = Batch::new(Some(self.id()));
        let by_author = view.deleted_by.as_ref().is_some_and(|by| by.account == view.author.account);
        // What is early, or was said early, is not stored: it comes once more, with its log.
        if !view.deleted || !by_author || looked.early {
            return batch;
        }
        let said = sight.about(&looked.event.id()).map(|about| about.annotations.as_slice()).unwrap_or_default();
        let said = said.iter().filter(|it| it.author == looked.author && self.entry.early.get(&it.id).is_none());
        // Of a device that is out only what its fences hold counts, and which branch of its log that is may turn out later: whoever
        // forges beside an early message hides by it for a while, and destroys nothing.
        let is_in = |device: &DeviceId| self.entry.room.standing(device) == Standing::Live;
        if !said.clone().any(|said| said.act == annotation::Act::Redact && is_in(&said.device)) {
            return batch;
        }
        if !looked.erased {
            batch.erase(looked.event.id());
        }
        said.filter(|said| said.act == annotation::Act::Edit).for_each(|edit| {
            batch.erase(edit.id);
        });
        batch
    }

    /// What a new line of the history touches beside itself.
    pub(super) fn touch_thread(&mut self, body: Option<&Body>) {
        if let Some(Body::Text(Text { thread: Some(root), .. })) = body {
            self.touch(*root);
        }
    }
}

fn no_choice(poll: &Poll) -> Problem {
    let several = if poll.several { "" } else { ", of which one can be chosen" };
    Problem::new(Code::BadRequest, format!("this poll has {} answers{several}", poll.options.len()))
}

#[cfg(test)]
mod tests;
