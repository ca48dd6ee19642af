//! Services over TCP: message brokers, APIs, file servers.

mod amqp_broker_away;
mod amqp_client_not_back;
mod amqp_oversized_message;
mod http_error_burst;
mod http_slow_action;
mod nfs_base_image_removed;

use super::Family;
use crate::value::Span;

/// Connections with a broker that end within so long of each other, and clients among them, that are an end of all (findings.md, SVC004).
const CONNECTIONS: usize = 3;
const CLIENTS: usize = 2;
const AT_ONCE: Span = Span::secs(10);

/// The family.
pub static FAMILY: Family = Family {
    prefix: "SVC",
    title: "services",
    entries: &[
        &amqp_oversized_message::ENTRY,
        &amqp_broker_away::ENTRY,
        &amqp_client_not_back::ENTRY,
        &http_slow_action::ENTRY,
        &http_error_burst::ENTRY,
        &nfs_base_image_removed::ENTRY,
    ],
};
