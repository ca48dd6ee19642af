//! Services over TCP: message brokers, APIs, file servers.

mod amqp_broker_away;
mod amqp_client_not_back;
mod amqp_oversized_message;
mod brokers;
mod http_error_burst;
mod http_slow_action;
mod nfs_base_image_removed;

use super::Family;

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
