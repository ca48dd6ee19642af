//! VLAN devices on VLAN devices, as the host tells: which of them leave one carrier in one outer VLAN, and how much room they need there.
//! Keeps nothing; asks what the host said.

use super::{Host, Stacked};
use crate::value::{Outside, Tpid, Vid};

/// All VLAN devices on a VLAN device whose frames leave one carrier in the same outer tag: one wrong setting makes them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pile {
    /// The bond or network card at the bottom.
    pub carrier: Outside,
    /// Its MTU, in bytes of layer 3.
    pub carrier_mtu: Option<u32>,
    /// The outermost tag of their frames.
    pub outer: (Tpid, Vid),
    /// The devices, in order of name.
    pub devices: Vec<Stacked>,
}

impl Host {
    /// Every pile, in order of carrier and tag.
    pub fn piles(&self) -> Vec<Pile> {
        let mut piles: Vec<Pile> = Vec::new();
        for device in self.stacked() {
            let Some(outer) = device.tags.outer() else { continue };
            let place = (&device.carrier, outer);
            match piles.iter_mut().find(|pile| (&pile.carrier, pile.outer) == place) {
                Some(pile) => pile.devices.push(device),
                None => {
                    let (carrier, carrier_mtu) = (device.carrier.clone(), device.carrier_mtu);
                    piles.push(Pile { carrier, carrier_mtu, outer, devices: vec![device] });
                }
            }
        }
        piles.sort_by(|a, b| (&a.carrier, a.outer).cmp(&(&b.carrier, b.outer)));
        piles
    }

    /// The pile on `carrier` in the tag `outer`.
    pub fn pile(&self, carrier: &str, outer: (Tpid, Vid)) -> Option<Pile> {
        self.piles().into_iter().find(|pile| pile.carrier.raw() == carrier && pile.outer == outer)
    }
}

impl Pile {
    /// Bytes behind the outer tag of the largest packet that one of the devices takes, where their MTUs are told.
    pub fn needed(&self) -> Option<u32> {
        self.devices.iter().filter_map(|device| Some(device.tags.carry(device.mtu?))).max()
    }

    /// Whether the carrier takes less than the devices hand it; nothing is said where an MTU is not told.
    pub fn is_tight(&self) -> bool {
        self.needed().zip(self.carrier_mtu).is_some_and(|(needed, room)| needed > room)
    }

    /// The names of the devices.
    pub fn names(&self) -> Vec<Outside> {
        self.devices.iter().map(|device| device.device.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(mtu: u32) -> Host {
        let mut host = Host::default();
        let lines = [
            format!(r#"{{"fact":"link","name":"bond0","kind":"bond","mtu":{mtu}}}"#),
            r#"{"fact":"link","name":"vlan20","kind":"vlan","vid":20,"lower":"bond0","mtu":1500}"#.to_owned(),
            r#"{"fact":"link","name":"vlan101","kind":"vlan","vid":101,"lower":"vlan20","mtu":1500}"#.to_owned(),
            r#"{"fact":"link","name":"vlan100","kind":"vlan","vid":100,"lower":"vlan20","mtu":1500}"#.to_owned(),
            r#"{"fact":"link","name":"vlan30","kind":"vlan","vid":30,"lower":"bond0","mtu":1500}"#.to_owned(),
        ];
        for line in lines {
            host.learn(&serde_json::from_str(&line).unwrap());
        }
        host
    }

    #[test]
    fn one_wrong_setting_is_one_pile() {
        let piles = host(1_500).piles();
        assert_eq!(piles.len(), 1);
        assert_eq!(piles[0].names(), [Outside::from("vlan100"), Outside::from("vlan101")]);
        assert_eq!((piles[0].needed(), piles[0].is_tight()), (Some(1_504), true));
    }

    #[test]
    fn four_bytes_more_are_room_enough() {
        assert!(!host(1_504).piles()[0].is_tight());
        assert!(host(1_504).pile("bond0", (Tpid::C, Vid::from_tci(30))).is_none());
    }
}
