//! What a machine says while it runs: the kernel's word about links, bridges and addresses. The only sources that may open a socket.
//! Not here yet: the packet ring.

mod netlink;

pub use netlink::{Device, HostFacts};
