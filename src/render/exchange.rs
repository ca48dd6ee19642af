//! DHCP exchanges: one as a line of NDJSON (`netdiag.exchange/1`), as an entry of the JSON report, and as a line for a person.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::frame::FrameView;
use crate::event::FrameRef;
use crate::finding::{Exchange, LeaseClock, Message, Outcome};
use crate::value::{Mac, Outside, Span, Timestamp};

/// An exchange with its messages by the names of their vantages.
#[derive(Serialize)]
pub(super) struct ExchangeView<'a> {
    #[serde(flatten)]
    exchange: &'a Exchange,
    messages: Vec<MessageView<'a>>,
}

#[derive(Serialize)]
struct MessageView<'a> {
    #[serde(flatten)]
    frame: FrameView,
    kind: &'a str,
    xid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<Mac>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<Ipv4Addr>,
    attempt: u32,
    #[serde(rename = "took_s", skip_serializing_if = "Option::is_none")]
    took: Option<Span>,
    #[serde(rename = "copy", skip_serializing_if = "std::ops::Not::not")]
    is_copy: bool,
}

/// One exchange as one line of NDJSON; `name_of` names vantages.
///
/// # Errors
/// None that an exchange can cause; the type is serde's.
pub fn exchange_line(exchange: &Exchange, name_of: &dyn Fn(FrameRef) -> Outside) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        schema: &'static str,
        exchange: ExchangeView<'a>,
    }
    serde_json::to_string(&Line { schema: "netdiag.exchange/1", exchange: ExchangeView::of(exchange, name_of) })
}

/// One exchange as one line for a person: when, who, where, what it came to, and what was said.
pub fn exchange_text(exchange: &Exchange) -> String {
    let Exchange { client, kind, outcome, domain, .. } = exchange;
    let network =
        if domain.starts_with(|c: char| c.is_ascii_digit()) { format!("VLAN {domain}") } else { domain.clone() };
    let came_to = match (&exchange.lease, outcome) {
        (Some(lease), Outcome::Granted) => format!(": {}", lease_text(lease, exchange.began)),
        _ => String::new(),
    };
    let said: Vec<String> = exchange.messages.iter().filter(|m| !m.is_copy).map(message_text).collect();
    let left_out = match exchange.messages_left_out {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!(
        "{}  {client}  {network}  {kind} {outcome}{came_to}  [{}{left_out}]  {}",
        exchange.began.clock(),
        said.join(", "),
        exchange.id
    )
}

fn lease_text(lease: &LeaseClock, began: Timestamp) -> String {
    // A day is told where it is another than that of the line.
    let clock_of = |at: Timestamp| {
        if at.date() == began.date() { at.clock() } else { format!("{} {}", at.date(), at.clock()) }
    };
    let by = lease.server.map(|server| format!(" by {server}")).unwrap_or_default();
    let clock = match (lease.t1, lease.end) {
        (Some(t1), Some(end)) => format!(", T1 {}, end {}", clock_of(t1), clock_of(end)),
        _ => ", for ever".to_owned(),
    };
    format!("{}{by}{clock}", lease.address)
}

fn message_text(message: &Message) -> String {
    let took = message.took.map(|took| format!(" +{took}")).unwrap_or_default();
    format!("{}{took}", message.kind)
}

impl<'a> ExchangeView<'a> {
    /// An exchange as a reader finds it; `name_of` names vantages.
    pub fn of(exchange: &'a Exchange, name_of: &dyn Fn(FrameRef) -> Outside) -> Self {
        let messages = exchange.messages.iter().map(|message| MessageView {
            frame: FrameView::of(message.at, message.time, name_of),
            kind: &message.kind,
            xid: format!("{:08x}", message.xid),
            sender: message.sender,
            server: message.server,
            address: message.address,
            relay: message.relay,
            attempt: message.attempt,
            took: message.took,
            is_copy: message.is_copy,
        });
        Self { exchange, messages: messages.collect() }
    }
}
