//! A port passes nothing for the time of a forward delay, and a guest's first questions are lost in it (IEEE 802.1D-2004 clause 17.4).

use std::collections::BTreeMap;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Direction, Frame, Place, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::wire::Kind;
use crate::world::Observation;

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP024",
        name: "dhcp-forwarding-delay",
        levels: &[(Confidence::Likely, Severity::Warning)],
        page: include_str!("dhcp_forwarding_delay.md"),
    },
    hears: &[Kind::Dhcp],
    follows: &[],
    needs: Needs::Frames,
    make: |settings| Box::new(DhcpForwardingDelay::new(settings)),
};

/// How long a port that takes part in a spanning tree passes nothing: listening and learning, each a forward delay of 15 s, or one of them
/// (IEEE 802.1D-2004 table 17-1).
const DELAYS: [Span; 2] = [Span::secs(15), Span::secs(30)];
/// A client asks some seconds after its port came up.
const ABOUT: Span = Span::secs(2);
/// Ports that show the same delay, where the host does not say that its bridge speaks spanning tree.
const PORTS: usize = 2;
/// Questions that must be lost: one may be lost anywhere.
const LOST: usize = 2;
/// Ports that are remembered as slow, and questions of a client that are.
const MOST_PORTS: usize = 64;
const MOST_ASKED: usize = 8;

struct DhcpForwardingDelay {
    clients: BoundedMap<Mac, Asked>,
    /// Ports that opened late, with all there is to say of them.
    slow: BTreeMap<VantageId, Late>,
}

/// Questions of a client at its own port, until one passed.
struct Asked {
    port: VantageId,
    lost: Vec<(Timestamp, Cited)>,
    has_passed: bool,
    /// Whether somewhere beyond the port frames were captured as the first question came.
    is_watched: bool,
}

/// A port that opened late.
struct Late {
    client: Mac,
    delay: Span,
    lost: Vec<Cited>,
    first: Timestamp,
    is_told: bool,
}

impl DhcpForwardingDelay {
    fn new(settings: &Settings) -> Self {
        Self { clients: BoundedMap::new(settings.tables.clients), slow: BTreeMap::new() }
    }

    fn seen(&mut self, frame: &Frame<'_>, cx: &mut Context<'_>) {
        let Some(dhcp) = frame.layers.dhcp().filter(|dhcp| dhcp.op() == 1 && dhcp.giaddr().is_unspecified()) else {
            return;
        };
        let client = dhcp.chaddr();
        let at = frame.at.vantage;
        let place = cx.world.vantage(at).map_or(Place::Unknown, |v| v.place);
        let is_port = match place {
            Place::Tap => frame.direction != Direction::Out,
            Place::Guest => frame.direction != Direction::In,
            _ => false,
        };
        if is_port {
            let fresh = || Asked { port: at, lost: Vec::new(), has_passed: false, is_watched: is_watched(cx) };
            let asked = self.clients.entry(&client, fresh);
            if !asked.has_passed && asked.lost.len() < MOST_ASKED {
                asked.lost.push((frame.order, Cited::of(frame)));
            }
            return;
        }
        if !matches!(place, Place::Bridge | Place::Vlan | Place::Bond | Place::Nic) {
            return;
        }
        let Some(asked) = self.clients.get_mut(&client).filter(|asked| !asked.has_passed) else { return };
        asked.has_passed = true;
        // The question that passes now was the last to be seen at the port.
        let passed = asked.lost.pop();
        let lost = std::mem::take(&mut asked.lost);
        let (Some((passed, _)), Some((first, _)), Some((last, _))) = (passed, lost.first(), lost.last()) else {
            return;
        };
        let (closed, open) = (last.since(*first), passed.since(*first));
        let fits = |delay: &&Span| closed <= plus(**delay, ABOUT) && open >= plus(**delay, ABOUT.times(-1));
        let Some(delay) = DELAYS.iter().find(fits).filter(|_| asked.is_watched && lost.len() >= LOST) else { return };
        let late = Late {
            client,
            delay: *delay,
            first: lost.first().map_or(passed, |(_, cited)| cited.time),
            lost: lost.into_iter().map(|(_, cited)| cited).chain([Cited::of(frame)]).collect(),
            is_told: false,
        };
        if self.slow.len() < MOST_PORTS {
            self.slow.insert(asked.port, late);
        }
        self.judge(cx);
    }

    fn judge(&mut self, cx: &mut Context<'_>) {
        for delay in DELAYS {
            let alike = self.slow.values().filter(|late| late.delay == delay).count();
            for (port, late) in self.slow.iter_mut().filter(|(_, late)| late.delay == delay && !late.is_told) {
                let speaks = cx.world.vantage(*port).and_then(|v| cx.world.host.bridge_speaks_stp(v.name.raw()));
                if alike >= PORTS || speaks == Some(true) {
                    late.is_told = true;
                    late.claim(*port, speaks, alike, cx);
                }
            }
        }
    }
}

/// Two spans, one after the other.
const fn plus(a: Span, b: Span) -> Span {
    Span::nanos(a.as_nanos().saturating_add(b.as_nanos()))
}

/// Whether some place beyond the ports was captured, and something arrived there.
fn is_watched(cx: &Context<'_>) -> bool {
    let is_beyond = |place| matches!(place, Place::Bridge | Place::Vlan | Place::Bond | Place::Nic);
    cx.world.vantages().iter().any(|(id, v)| is_beyond(v.place) && cx.world.arrivals.latest(*id).is_some())
}

impl Detector for DhcpForwardingDelay {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.seen(seen.frame, cx);
        }
    }
}

impl Late {
    fn claim(&mut self, port: VantageId, speaks: Option<bool>, alike: usize, cx: &mut Context<'_>) {
        let port_name = cx.world.interface(port);
        let lost = self.lost.len().saturating_sub(1);
        let headline = format!(
            "Nothing that {} asked passed its port {port_name} for the first {} or so: {lost} questions were lost, as in the forward delay of a \
             spanning tree.",
            self.client, self.delay,
        );
        let mut claim = Claim::new(Key::new().with("port", port_name), Confidence::Likely, Severity::Warning, headline)
            .seen(self.first, lost as u64)
            .at(port)
            .number("client", self.client.to_string())
            .number("delay_s", self.delay.as_secs())
            .number("lost", lost)
            .number("ports", alike)
            .proved_by(std::mem::take(&mut self.lost))
            .filter("dhcp.option.dhcp == 1");
        claim = match speaks {
            Some(true) => {
                claim.cause("the bridge of this port speaks spanning tree, and listens and learns before it forwards")
            }
            _ => claim
                .cause("the port's bridge or switch speaks spanning tree, and listens and learns before it forwards"),
        };
        cx.raise(
            claim
                .cause("whatever wires the port (an agent, a filter) takes that long")
                .step(
                    "See whether the bridge speaks spanning tree, and its forward delay",
                    "ip -d link show type bridge",
                )
                .step(
                    "Where no loop is possible, let it forward at once",
                    "ip link set BRIDGE type bridge stp_state 0 forward_delay 0",
                )
                .step(
                    "On a switch, let ports of hosts forward at once",
                    "spanning-tree portfast (edge, for trunks: edge trunk)",
                ),
        );
    }
}
