//! One attempt at an errand: it sends the command, or asks the question and performs the effect, and records the outcome.

use crate::{Destination, Effect, Errand, Fault, NotNow, Outcome, Patience, Perform, Status, Task, book::Book, meta, metrics};
use event_sourcing::AnyCommand;
use event_store::{Aggregates, CommandError, CommandMeta};
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Semaphore;

/// Who performs the effects of a kind, where they go, and how long they are tried.
#[derive(Clone)]
pub struct EffectKind {
    /// Who performs them.
    pub performer: Arc<dyn Perform>,
    /// Where they go. Several kinds may share one.
    pub destination: Arc<Destination>,
    /// How long and how often they are tried.
    pub patience: Patience,
}

/// The result of one attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The errand is done, or need not be done any more.
    Settled,
    /// It is to be tried again; `counts` where this uses up one of the errand's attempts.
    Later { reason: String, counts: bool },
    /// No further attempt can succeed.
    Never(String),
}

/// Keeps in an errand's row that its effect is performed.
#[async_trait::async_trait]
pub(crate) trait Keep: Sync {
    /// Called while the command that records the outcome is under way: it is the errand's task now. The answer to it may take longer than
    /// this process has its partition, and the next one must not perform the effect again.
    async fn keep(&self, performed: &Errand);
}

/// Makes the attempts at a service's errands.
pub(crate) struct Attempts {
    pub aggregates: Aggregates,
    pub kinds: HashMap<&'static str, EffectKind>,
    /// How long and how often commands are tried.
    pub patience: Patience,
    /// At most so many commands and questions are under way at once.
    pub permits: Semaphore,
    /// Tells which partitions are being given up.
    pub book: Arc<Book>,
}

fn later(reason: impl Into<String>) -> Verdict {
    Verdict::Later { reason: reason.into(), counts: false }
}

impl Attempts {
    /// How long and how often an errand is tried.
    pub fn patience(&self, errand: &Errand) -> Patience {
        match &errand.task {
            Task::Command(_) => self.patience,
            Task::Effect(effect) => self.kinds.get(&*effect.kind).map_or(self.patience, |kind| kind.patience),
        }
    }

    /// The longest pause between two attempts at any errand, in milliseconds.
    pub fn longest_pause(&self) -> i64 {
        let longest = self.kinds.values().map(|kind| kind.patience.longest_pause).fold(self.patience.longest_pause, Duration::max);
        i64::try_from(longest.as_millis()).unwrap_or(i64::MAX)
    }

    /// Tries an errand once. Where its effect may have been performed before, asks the effect's question first. Each command or question
    /// holds a permit while it is under way. `kept` is told when the effect is performed.
    pub async fn attempt(&self, errand: &mut Errand, may_be_done: bool, kept: &dyn Keep) -> Verdict {
        let effect = match errand.task.clone() {
            Task::Command(command) => return self.send(errand, command).await,
            Task::Effect(effect) => effect,
        };
        let Some(kind) = self.kinds.get(&*effect.kind) else {
            return Verdict::Never(format!("nobody here performs the effect {}", effect.kind));
        };
        if let Some(question) = effect.question.clone().filter(|_| may_be_done)
            && let Some(verdict) = self.ask(errand, question).await
        {
            return verdict;
        }
        match self.perform(errand, &effect, kind).await {
            Outcome::Done(record) | Outcome::Refused(record) => self.record(errand, record, kept).await,
            Outcome::NotNow(NotNow { reason, fault }) => Verdict::Later { reason, counts: matches!(fault, Fault::Effect | Fault::Unclear) },
        }
    }

    async fn perform(&self, errand: &Errand, effect: &Effect, kind: &EffectKind) -> Outcome {
        // A panic of the performer fails this errand's attempt and nothing else.
        let performed = AssertUnwindSafe(kind.performer.perform(effect));
        let guarded = async {
            futures::FutureExt::catch_unwind(performed).await.unwrap_or_else(|_| {
                Outcome::NotNow(NotNow::new(Fault::Effect, format!("the performer of {} met a defect; the log says which", effect.kind)))
            })
        };
        let goes_on = || !self.book.is_closing(&errand.source());
        let outcome = kind.destination.attempt(&errand.id, goes_on, guarded).await;
        let name = match &outcome {
            Outcome::Done(_) => "done",
            Outcome::Refused(_) => "refused",
            Outcome::NotNow(_) => "not-now",
        };
        metrics::EFFECTS.with_label_values(&[&*effect.kind, name]).inc();
        tracing::debug!(errand = errand.id, kind = effect.kind, outcome = name, "an effect was tried");
        outcome
    }

    /// Asks an effect's question; none where the effect is to be performed.
    async fn ask(&self, errand: &Errand, question: AnyCommand) -> Option<Verdict> {
        match self.execute(question, meta::of_question(errand, meta::now())).await {
            Ok(()) => None,
            Err(CommandError::Refused(refused)) => {
                tracing::debug!(errand = errand.id, code = refused.code, "an effect need not be performed any more");
                Some(Verdict::Settled)
            }
            Err(CommandError::Unavailable(not_now)) => Some(later(not_now.reason)),
            Err(
                error @ (CommandError::Conflict { .. } | CommandError::KeyReused | CommandError::Defect(_) | CommandError::Rejected(_)),
            ) => Some(Verdict::Never(error.to_string())),
        }
    }

    /// Records an effect's outcome. From here on the errand is only the command that records it: later attempts do not perform the effect
    /// again, whichever process makes them. Recording does not wait for the database, which may be away.
    async fn record(&self, errand: &mut Errand, record: Option<AnyCommand>, kept: &dyn Keep) -> Verdict {
        let Some(command) = record else { return Verdict::Settled };
        errand.task = Task::Command(command.clone());
        let (verdict, ()) = tokio::join!(self.send(errand, command), kept.keep(errand));
        verdict
    }

    /// Sends a command. A refusal settles the errand: the aggregate has decided. So does another command under the same id: an earlier
    /// delivery of the event sent that one, and it stands.
    async fn send(&self, errand: &Errand, command: AnyCommand) -> Verdict {
        let count = |outcome| metrics::COMMANDS.with_label_values(&[&*errand.reactor, outcome]).inc();
        match self.execute(command, meta::of_errand(errand, meta::now())).await {
            Ok(()) => {
                count("done");
                Verdict::Settled
            }
            Err(CommandError::Refused(refused)) => {
                tracing::debug!(errand = errand.id, code = refused.code, "a command was refused");
                count("refused");
                Verdict::Settled
            }
            Err(CommandError::KeyReused) => {
                count("other");
                Verdict::Settled
            }
            Err(CommandError::Unavailable(not_now)) => later(not_now.reason),
            Err(error @ (CommandError::Conflict { .. } | CommandError::Defect(_) | CommandError::Rejected(_))) => {
                count("defect");
                Verdict::Never(error.to_string())
            }
        }
    }

    async fn execute(&self, command: AnyCommand, meta: CommandMeta) -> Result<(), CommandError> {
        let _permit = self.permits.acquire().await;
        self.aggregates.execute(command, meta).await.map(drop)
    }

    /// Notes an attempt that did not settle the errand. An errand that is used up or hopeless is dead from then on, once that is recorded.
    pub async fn note(&self, errand: &mut Errand, verdict: Verdict) {
        let (reason, hopeless, counts) = match verdict {
            Verdict::Settled => return,
            Verdict::Later { reason, counts } => (reason, false, counts),
            Verdict::Never(reason) => (reason, true, true),
        };
        let (patience, now) = (self.patience(errand), meta::now());
        if errand.tries == 0 {
            tracing::warn!(errand = errand.id, target = %errand.target, reason, "an errand has to wait");
        }
        errand.postpone(reason, counts, &patience, now);
        if (hopeless || errand.is_used_up(&patience, now)) && self.given_up(errand).await {
            errand.status = Status::Dead;
            metrics::DEAD_ERRANDS.with_label_values(&[&*errand.reactor]).inc();
            tracing::error!(errand = errand.id, reason = errand.reason, "an errand is given up: it stands among the dead letters");
        }
    }

    /// Records that an effect is given up, where its performer asks for that; false where the aggregate is unavailable and the record has
    /// to wait.
    async fn given_up(&self, errand: &Errand) -> bool {
        let Task::Effect(effect) = &errand.task else { return true };
        let Some(kind) = self.kinds.get(&*effect.kind) else { return true };
        let record = catch_unwind(AssertUnwindSafe(|| kind.performer.give_up(effect, &errand.reason))).unwrap_or_else(|_| {
            tracing::error!(errand = errand.id, "the performer met a defect: that the effect is given up is not recorded");
            None
        });
        let Some(record) = record else { return true };
        !matches!(self.execute(record, meta::of_giving_up(errand, meta::now())).await, Err(CommandError::Unavailable(_)))
    }
}
