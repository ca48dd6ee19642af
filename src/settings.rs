//! Every default, one struct a family, each field with its clause. A settings file may change any of them by name.

use serde::{Deserialize, Serialize};

use crate::value::{Mac, MacPrefix, Span};

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where packets are recognised again.
    pub sightings: Sightings,
    /// How much is remembered.
    pub tables: Tables,
    /// VLAN tags.
    pub vlan: Vlan,
    /// Sizes.
    pub mtu: Mtu,
    /// Who hears and who does not.
    pub liveness: Liveness,
    /// DHCPv4.
    pub dhcp: Dhcp,
    /// Spanning tree.
    pub stp: Stp,
    /// Links: what arrives, and carriers.
    pub link: Link,
    /// Services over TCP.
    pub services: Services,
    /// The capture itself.
    pub capture: Capture,
}

/// Recognising one packet at several vantages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sightings {
    /// Milliseconds within which two sightings may be one packet. 2 ms inside one host, where the same packet is queued from
    /// device to device; 10 leaves room for a loaded switch between hosts with one clock.
    pub window_ms: i64,
    /// The same where `path` follows packets through routers: a fifth of a second is more than any way inside a site takes.
    pub way_ms: i64,
}

/// Limits of tables, in entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tables {
    /// Stations by MAC address.
    pub stations: usize,
    /// TCP connections.
    pub flows: usize,
    /// DHCP clients.
    pub clients: usize,
    /// DHCP exchanges that a report lists one by one.
    pub exchanges: usize,
    /// Stacks of tags by vantage.
    pub stacks: usize,
    /// Spanning trees.
    pub trees: usize,
    /// Packets under recognition.
    pub packets: usize,
    /// Stations that owe an answer.
    pub lapses: usize,
    /// Clients, servers and networks between which a connection was tried.
    pub attempts: usize,
}

/// VLAN tags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vlan {
    /// Outer VLAN identifiers that carry 0x8100 inside 0x8100 on purpose.
    pub qinq: Vec<u16>,
    /// Seconds without the symptom after which a finding is over.
    pub resolve_s: i64,
    /// Frames of the same VLANs that must have passed healthy in that time.
    pub resolve_frames: u64,
}

/// Sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mtu {
    /// Bytes of layer 3 that a link takes where nothing tells (Ethernet: 1500, IEEE 802.3 clause 3.2.7).
    pub assumed: u32,
    /// Times a segment must have been sent, unanswered, to count as lost: four sends in 3 s is more than congestion does.
    pub lost_sends: u32,
    /// Echo requests of a size that must stay unanswered, while smaller ones are answered, to count as lost.
    pub lost_echoes: u32,
}

/// Who hears and who does not (findings.md 2.8).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Liveness {
    /// Milliseconds that an answer to ARP, neighbour solicitation or echo may take: a second is what Linux waits (`retrans_time`).
    pub patience_ms: i64,
    /// Questions that must stay unanswered before a station is called silent: as many as Linux asks (`mcast_solicit`).
    pub stimuli: u64,
    /// Seconds that they must span.
    pub span_s: i64,
    /// Kinds of questions among them, or
    pub kinds: usize,
    /// askers among them: one alone may be filtered, or have a trouble of its own.
    pub askers: usize,
    /// Kinds that make it certain.
    pub certain_kinds: usize,
}

/// DHCPv4 (RFC 2131).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dhcp {
    /// Seconds since the first DISCOVER after which silence counts: the first two delays of RFC 2131 section 4.1.
    pub discover_wait_s: i64,
    /// DISCOVERs that must have been sent by then.
    pub discover_tries: u32,
    /// Seconds since the first DISCOVER after which silence is certain.
    pub discover_final_s: i64,
    /// Clients of one domain without an answer within a minute that make it the domain's trouble.
    pub discover_clients: usize,
    /// Seconds after an OFFER in which a client must ask for it.
    pub offer_wait_s: i64,
    /// The same for a boot ROM, which collects offers over several DISCOVERs (PXE 2.1: 4, 8, 16 s).
    pub offer_wait_pxe_s: i64,
    /// NAKs for one client in five minutes that are an error.
    pub naks: u32,
    /// The servers that are meant to be there, by address (option 54); where none is named, the first that is heard.
    pub servers: Vec<std::net::Ipv4Addr>,
    /// REQUESTs that must have been sent before their silence counts: one may be lost anywhere.
    pub request_tries: u32,
    /// Seconds since the first REQUEST after which silence counts: more than the first delay of RFC 2131 section 4.1 with its jitter.
    pub request_wait_s: i64,
    /// Seconds since the first REQUEST after which silence is certain: four tries (RFC 2131 section 3.1, step 5).
    pub request_final_s: i64,
    /// Milliseconds that an offer may take: as long as a client waits before it asks again (RFC 2131 section 4.1).
    pub slow_offer_ms: i64,
    /// Milliseconds that a grant may take: servers grant from memory.
    pub slow_ack_ms: i64,
    /// Answers that are needed to say how long 95 of 100 take.
    pub slow_answers: usize,
    /// Seconds that no single answer should take: a client has asked twice by then.
    pub slow_single_s: i64,
    /// Such answers that are enough to call a server slow.
    pub slow_singles: usize,
    /// Seconds of T1 below which a lease is short: an outage of as long, as of a server that is restarted, costs addresses.
    pub short_t1_s: u32,
    /// Seconds of T1 below which a lease is so short that the switch of a port outlasts it (30 s of spanning tree).
    pub very_short_t1_s: u32,
    /// Packets a second for renewals alone that are too many.
    pub renewal_packets: u32,
    /// Whole exchanges of one client in five minutes that are no start of a machine: a boot ROM and two systems make three.
    pub churn_starts: usize,
    /// Clients of one server that renew in vain within a minute and make it the server's trouble.
    pub renew_clients: usize,
}

/// Spanning tree (IEEE 802.1D-2004).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stp {
    /// Address prefixes that hypervisors give to guests.
    pub guest_prefixes: Vec<MacPrefix>,
    /// Guests that are declared appliances: they speak spanning tree on purpose, which is a warning only, or are routers (RA001), which is nothing.
    pub appliances: Vec<Mac>,
    /// Seconds without a BPDU after which a guest has stopped.
    pub resolve_s: i64,
    /// Seconds for which a root must have been named to count as the network's.
    pub established_s: i64,
    /// BPDUs in which it must have been named, where that takes less.
    pub established_bpdus: u64,
    /// Seconds for which two roots may be named in one network while it converges: maximum age and twice the forward delay.
    pub roots_s: i64,
    /// The same where all speak RSTP, which converges in hellos.
    pub roots_rapid_s: i64,
    /// Topology changes in ten minutes that are a warning when exceeded.
    pub changes: usize,
    /// Topology changes in one minute that are an error when exceeded.
    pub changes_fast: usize,
    /// Seconds without any frame that make a link silent after a guest's BPDU: a guard acts within one.
    pub silence_s: i64,
    /// Seconds after a BPDU in which the last frame must have arrived for the silence to be its work.
    pub silence_within_s: i64,
    /// Frames that must have arrived in the 10 s before.
    pub silence_frames: u32,
}

/// Links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Link {
    /// Seconds without any frame that make a link silent.
    pub silence_s: i64,
    /// Percent of the 30 s before in which a frame must have arrived: what is heard now and then only is not missed.
    pub steady_percent: u32,
    /// Questions of this host and its guests without an answer that prove that the link is cut off.
    pub questions: u32,
    /// Hosts that must have asked them.
    pub askers: usize,
    /// Frames that end a silence, or half of what used to come in 10 s where that is less.
    pub restored_frames: u32,
    /// Seconds in which they must come.
    pub restored_s: i64,
}

/// Services over TCP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Services {
    /// Bytes of one AMQP message that are many: a call and its answer are some kilobytes.
    pub amqp_message: u64,
    /// Bytes that a broker may die of, which keeps a message in memory once for each queue.
    pub amqp_message_grave: u64,
    /// Ports of message brokers: AMQP in the clear and in TLS.
    pub broker_ports: Vec<u16>,
    /// Ports of APIs that answer at once and hold no request on purpose: OpenStack's and those of the kind of EC2.
    pub api_ports: Vec<u16>,
    /// Seconds that an API may take to begin its answer.
    pub slow_answer_s: i64,
    /// Seconds after which its clients give up.
    pub no_answer_s: i64,
}

/// The capture itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Milliseconds that a stamp may run back before it is a finding.
    pub disorder_ms: i64,
    /// Data segments in one direction, with nothing of the other, that make a capture one-sided.
    pub one_direction_segments: u64,
    /// Acknowledgements of data never seen that show a loss.
    pub unseen_acks: u32,
    /// Seconds in which they must come.
    pub unseen_acks_s: i64,
}

impl Default for Sightings {
    fn default() -> Self {
        Self { window_ms: 10, way_ms: 200 }
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            stations: 200_000,
            flows: 200_000,
            clients: 50_000,
            exchanges: 20_000,
            stacks: 4_096,
            trees: 1_024,
            packets: 65_536,
            lapses: 16_384,
            attempts: 8_192,
        }
    }
}

impl Default for Vlan {
    fn default() -> Self {
        Self { qinq: Vec::new(), resolve_s: 60, resolve_frames: 20 }
    }
}

impl Default for Mtu {
    fn default() -> Self {
        Self { assumed: 1_500, lost_sends: 4, lost_echoes: 2 }
    }
}

impl Default for Liveness {
    fn default() -> Self {
        Self { patience_ms: 1_000, stimuli: 3, span_s: 3, kinds: 2, askers: 2, certain_kinds: 3 }
    }
}

impl Default for Dhcp {
    fn default() -> Self {
        Self {
            discover_wait_s: 10,
            discover_tries: 2,
            discover_final_s: 60,
            discover_clients: 3,
            offer_wait_s: 10,
            offer_wait_pxe_s: 20,
            naks: 3,
            servers: Vec::new(),
            request_tries: 2,
            request_wait_s: 6,
            request_final_s: 60,
            slow_offer_ms: 4_000,
            slow_ack_ms: 1_000,
            slow_answers: 20,
            slow_single_s: 10,
            slow_singles: 3,
            short_t1_s: 120,
            very_short_t1_s: 30,
            renewal_packets: 50,
            churn_starts: 5,
            renew_clients: 3,
        }
    }
}

impl Default for Stp {
    fn default() -> Self {
        // OpenStack, QEMU and libvirt, Xen, Eucalyptus, VMware ×3, Hyper-V, VirtualBox, oVirt ×2.
        let prefixes = [
            "fa:16:3e", "52:54:00", "00:16:3e", "d0:0d", "00:0c:29", "00:50:56", "00:05:69", "00:15:5d", "08:00:27",
            "00:1a:4a", "56:6f",
        ];
        Self {
            guest_prefixes: prefixes.iter().filter_map(|prefix| prefix.parse().ok()).collect(),
            appliances: Vec::new(),
            resolve_s: 60,
            established_s: 10,
            established_bpdus: 5,
            roots_s: 50,
            roots_rapid_s: 10,
            changes: 5,
            changes_fast: 3,
            silence_s: 3,
            silence_within_s: 5,
            silence_frames: 10,
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self { silence_s: 10, steady_percent: 80, questions: 3, askers: 2, restored_frames: 10, restored_s: 5 }
    }
}

impl Default for Services {
    fn default() -> Self {
        // Keystone ×2, Nova, EC2, metadata, placement, Cinder, Glance, Neutron, Heat, Ironic, Octavia, Barbican, Magnum.
        let api_ports = vec![5000, 35357, 8774, 8773, 8775, 8778, 8776, 9292, 9696, 8004, 6385, 9876, 9311, 9511];
        Self {
            amqp_message: 16 << 20,
            amqp_message_grave: 128 << 20,
            broker_ports: vec![5672, 5671],
            api_ports,
            slow_answer_s: 30,
            no_answer_s: 60,
        }
    }
}

impl Default for Capture {
    fn default() -> Self {
        Self { disorder_ms: 1_000, one_direction_segments: 200, unseen_acks: 10, unseen_acks_s: 5 }
    }
}

impl Sightings {
    /// The window as a span.
    pub const fn window(&self) -> Span {
        Span::millis(self.window_ms)
    }

    /// The same where `path` follows packets.
    pub const fn way(&self) -> Span {
        Span::millis(self.way_ms)
    }
}

impl Stp {
    /// Whether `mac` is that of a tap by libvirt's habit: fe, then the last five bytes of an address with a guest's prefix.
    pub fn is_tap_of_guest(&self, mac: Mac) -> bool {
        self.guest_prefixes.iter().any(|prefix| prefix.matches_tap(mac))
    }

    /// Whether `mac` has a prefix that hypervisors give to guests.
    pub fn is_guest_prefix(&self, mac: Mac) -> bool {
        self.guest_prefixes.iter().any(|prefix| prefix.matches(mac))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_changed_by_name_and_a_wrong_name_is_refused() {
        let settings: Settings = toml::from_str("[dhcp]\ndiscover_wait_s = 20").unwrap();
        assert_eq!((settings.dhcp.discover_wait_s, settings.dhcp.naks), (20, 3));
        assert!(toml::from_str::<Settings>("[dhcp]\ndiscover_weight_s = 20").is_err());
    }
}
