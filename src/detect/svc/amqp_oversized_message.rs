//! SVC002: one message of AMQP is so large that the broker may die of it (AMQP 0-9-1, section 4.2.6). Its header says so before the first byte
//! of its body is sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Bytes, Outside, Span, TimedMap, Timestamp};
use crate::world::{Content, Derived, DomainId, Observation, Topic, Transfer};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "SVC002",
        name: "amqp-oversized-message",
        levels: &[
            (Confidence::Likely, Severity::Warning),
            (Confidence::Confirmed, Severity::Warning),
            (Confidence::Confirmed, Severity::Error),
        ],
        page: include_str!("amqp_oversized_message.md"),
    },
    hears: &[],
    follows: &[Topic::Amqp],
    needs: Needs::Frames,
    make: |settings| Box::new(AmqpOversizedMessage::new(settings)),
};

/// After so long without a further one it is over.
const RESOLVED: Span = Span::secs(600);
/// A message of which this part has passed is being transferred, whatever its header says.
const PART: u64 = 4;
/// Senders and addresses that are followed.
const MOST: usize = 1_024;
/// Messages of one sender to one address at a time that are followed.
const MOST_GOING: usize = 16;
/// Frames that are cited.
const CITED: u64 = 5;

struct AmqpOversizedMessage {
    grave: u64,
    stories: TimedMap<Path, Story>,
}

/// From whom to whom, and where to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Path {
    domain: DomainId,
    broker: (IpAddr, u16),
    address: Option<(Outside, Outside)>,
    is_delivery: bool,
    client: IpAddr,
}

/// The messages of one path.
struct Story {
    since: Timestamp,
    messages: u64,
    largest: u64,
    is_sure: bool,
    going: Vec<Arc<Content>>,
    fresh: Vec<Cited>,
    claimed: Option<Key>,
}

impl AmqpOversizedMessage {
    fn new(settings: &Settings) -> Self {
        Self { grave: settings.services.amqp_message_grave, stories: TimedMap::new(MOST) }
    }

    fn passes(&mut self, content: &Arc<Content>, cx: &mut Context<'_>) {
        let path = Path::of(content);
        // What a broker hands on is the message that it was given.
        if content.is_delivery && self.is_published(&path) {
            return;
        }
        let grave = self.grave;
        let story = self.stories.entry(&path, || Story::new(content.since));
        story.note(content, grave);
        story.claim(&path, content, grave, cx);
        let due = if story.going.is_empty() { cx.now.after(RESOLVED) } else { Timestamp::MAX };
        self.stories.wake(&path, due);
    }

    /// Whether a message to the same address was given to the broker.
    fn is_published(&self, path: &Path) -> bool {
        let is_same = |of: &Path| {
            !of.is_delivery && (of.domain, of.broker, &of.address) == (path.domain, path.broker, &path.address)
        };
        path.address.is_some() && self.stories.by_age().any(|(of, _)| is_same(of))
    }
}

impl Detector for AmqpOversizedMessage {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Derived(Derived::Content(content)) = seen {
            self.passes(content, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.stories.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some((_, story)) = self.stories.pop(cx.now) {
            if let Some(key) = story.claimed {
                cx.resolve(key, format!("no further one came for {RESOLVED}"));
            }
        }
    }
}

impl Path {
    fn of(content: &Content) -> Self {
        let (client, broker) =
            if content.is_delivery { (content.to, content.from) } else { (content.from, content.to) };
        let Content { domain, is_delivery, .. } = *content;
        Self { domain, broker, address: content.address.clone(), is_delivery, client: client.0 }
    }

    /// Where the messages go, as a person says it.
    fn address(&self) -> String {
        match &self.address {
            None => "an address that was not captured".to_owned(),
            Some((exchange, queue)) if exchange.is_empty() => format!("the queue {queue}"),
            Some((exchange, key)) if key.is_empty() => format!("the exchange {exchange}"),
            Some((exchange, key)) => format!("the exchange {exchange} by the key {key}"),
        }
    }

    fn broker(&self) -> String {
        SocketAddr::from(self.broker).to_string()
    }

    fn key(&self) -> Key {
        let role = if self.is_delivery { "consumer" } else { "client" };
        let key = Key::new().with(role, self.client).with("broker", self.broker());
        let named =
            |key: Key, name: &'static str, value: &Outside| if value.is_empty() { key } else { key.with(name, value) };
        match &self.address {
            Some((exchange, routing_key)) => named(named(key, "exchange", exchange), "routing_key", routing_key),
            None => key,
        }
    }
}

impl Story {
    const fn new(since: Timestamp) -> Self {
        Self { since, messages: 0, largest: 0, is_sure: false, going: Vec::new(), fresh: Vec::new(), claimed: None }
    }

    fn note(&mut self, content: &Arc<Content>, grave: u64) {
        let known = self.going.iter().position(|of| of.cited.at == content.cited.at);
        if let Some(known) = known {
            self.going.swap_remove(known);
        } else {
            self.messages = self.messages.saturating_add(1);
            if self.messages <= CITED {
                self.fresh.push(content.cited.clone());
            }
        }
        if content.state == Transfer::Going && self.going.len() < MOST_GOING {
            self.going.push(Arc::clone(content));
        }
        self.largest = self.largest.max(content.size);
        self.is_sure |= self.largest >= grave || content.passed.saturating_mul(PART) >= content.size;
    }

    fn claim(&mut self, path: &Path, content: &Content, grave: u64, cx: &mut Context<'_>) {
        let Content { size, passed, since, last, state, .. } = *content;
        let (what, it) = if self.messages > 1 {
            (format!("{} AMQP messages of up to {}", self.messages, Bytes(self.largest)), "the latest")
        } else {
            (format!("one AMQP message of {}", Bytes(size)), "it")
        };
        let how = match state {
            Transfer::Going if passed == 0 => format!("nothing of {it} passed yet"),
            Transfer::Going => format!("{} of {it} passed so far", Bytes(passed)),
            Transfer::Whole => format!("all of {it} passed within {}", last.since(since)),
            Transfer::Broken => format!("the connection ended after {} of {it}", Bytes(passed)),
        };
        let (client, broker, address, begun) = (path.client, path.broker(), path.address(), self.since.clock());
        let headline = if path.is_delivery {
            format!("The broker {broker} hands {client} {what} for {address}, since {begun}: {how}.")
        } else {
            format!("{client} publishes {what} to {address} at the broker {broker} since {begun}: {how}.")
        };
        let confidence = if self.is_sure { Confidence::Confirmed } else { Confidence::Likely };
        let severity = if self.largest >= grave { Severity::Error } else { Severity::Warning };
        let key = self.claimed.get_or_insert_with(|| path.key()).clone();
        let (a, b) = (path.client.min(path.broker.0), path.client.max(path.broker.0));
        let claim = Claim::new(key, confidence, severity, headline)
            .seen(self.since, self.messages)
            .until(last)
            .at(content.vantage)
            .number("size", size)
            .number("transferred", passed)
            .number("messages", self.messages)
            .number("largest", self.largest)
            .number("seconds", last.since(since).as_secs())
            .number("hosts", format!("{a} {b}"))
            .number("broker_host", path.broker.0.to_string())
            .number("broker_port", path.broker.1.to_string())
            .proved_by(std::mem::take(&mut self.fresh))
            .filter(format!("amqp.header.body-size >= {}", cx.settings.services.amqp_message));
        cx.raise(told(claim, path));
    }
}

/// The claim with causes and remedies, by where the message goes.
fn told(claim: Claim, path: &Path) -> Claim {
    let key = path.address.as_ref().map_or("", |(_, key)| key.raw());
    let is_reply = key.starts_with("reply_");
    let is_notification = key.starts_with("notifications");
    let claim = match (is_reply, is_notification) {
        (true, _) => claim.cause(
            "the answer to a call carries something whole that grows without bound: the console log of an instance, most of all, \
             each time that somebody looks at it",
        ),
        (_, true) => claim.cause("a notification carries a list that grows: every instance, every image, a whole stack trace"),
        _ => claim.cause("a call carries a file or a list that grows without bound"),
    };
    claim
        .cause("somebody moves files through the broker on purpose: raise services.amqp_message for it")
        .step(
            "See what the broker holds in memory, and in which queues",
            "rabbitmqctl status; rabbitmqctl list_queues name messages memory consumers",
        )
        .step(
            "Find the console logs that have grown, on the compute node that sends it",
            "ls -lhS /var/lib/nova/instances/*/console.log",
        )
        .step(
            "Empty the log that is too large, and ask whoever looks at it again and again to stop",
            "truncate -s 0 /var/lib/nova/instances/INSTANCE/console.log",
        )
}
