//! What the rules about whole trees share: how a tree is called, and who a speaker is.

use crate::detect::Context;
use crate::finding::Key;
use crate::world::{Instance, Origin, Speaker, TreeKey};

/// A key that names the tree.
pub fn key_of(tree: &TreeKey, cx: &Context<'_>) -> Key {
    Key::new().with("domain", cx.world.domains.name(tree.0)).with("instance", tree.1)
}

/// The tree in a sentence: " in VLAN 100", " for VLAN 20"; nothing for the common tree of untagged frames.
pub fn in_words(tree: &TreeKey, cx: &Context<'_>) -> String {
    let name = cx.world.domains.name(tree.0);
    match (tree.1, name.as_str()) {
        (Instance::Cist, "untagged") => String::new(),
        (Instance::Cist, name) => format!(" in VLAN {name}"),
        (Instance::Pvst(vlan), _) => format!(" of VLAN {vlan}"),
        (Instance::Msti(instance), _) => format!(" of MST instance {instance}"),
    }
}

/// Who the speaker is, as far as that is known.
pub fn origin(tree: &TreeKey, speaker: &Speaker, cx: &Context<'_>) -> Origin {
    cx.world.origin(speaker.mac, speaker.packet, speaker.sighting, tree.0, cx.settings)
}

/// Whether that is a guest, of this host or another.
pub const fn is_guest(origin: &Origin) -> bool {
    matches!(origin, Origin::Guest { .. } | Origin::LikelyGuest | Origin::GuestByPrefix | Origin::RemoteGuest)
}
