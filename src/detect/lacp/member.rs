//! What the rules about aggregation share: a member as findings name it, and whether an end is this host's (IEEE 802.1AX-2014 clause 6.3.2).

use crate::detect::Context;
use crate::event::VantageId;
use crate::finding::Key;
use crate::world::End;

/// The member that is captured at `vantage`: it has a name of its own, whatever shows the same frames.
pub fn name(vantage: VantageId, cx: &Context<'_>) -> String {
    cx.world.vantage(vantage).map(|v| v.name.to_string()).unwrap_or_default()
}

/// What a finding about one member is about.
pub fn claim_key(vantage: VantageId, cx: &Context<'_>) -> Key {
    Key::new().with("interface", name(vantage, cx))
}

/// Whether the host speaks there: a member that took over the bond's address still sends LACPDUs from its own, and names the bond's as its system.
pub fn is_ours(end: &End, cx: &Context<'_>) -> bool {
    cx.world.host.is_own(end.mac) || cx.world.host.is_own(end.actor.system)
}
