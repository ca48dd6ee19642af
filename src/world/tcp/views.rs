//! What each vantage shows of all connections: how many segments, whether of both ends, and super-frames. A few words a vantage.

use std::net::IpAddr;

use super::key::FlowKey;
use crate::event::{Cited, Frame, VantageId};
use crate::world::Derived;

/// Super-frames that are quoted of each vantage; further ones are only counted.
const QUOTED: u64 = 3;

/// What one vantage shows of all connections.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The vantage.
    pub vantage: VantageId,
    /// Segments with payload.
    pub segments: u64,
    /// Whether both ends of any connection were heard; where several vantages together show both directions, that counts.
    pub is_two_way: bool,
    /// Super-frames.
    pub super_frames: u64,
    /// The longest of them, in bytes of layer 3.
    pub longest: u32,
}

/// A vantage shows many segments with payload of one end of a connection, and nothing of the other.
#[derive(Clone, Debug)]
pub struct OneSided {
    /// The last of those segments.
    pub cited: Cited,
    /// Who sent them.
    pub from: IpAddr,
    /// Who received them, and is not heard.
    pub to: IpAddr,
    pub(super) flow: FlowKey,
    /// Whether the lower end of the connection is the one that is not heard.
    pub(super) is_low: bool,
}

/// What all vantages show.
#[derive(Debug, Default)]
pub(super) struct Views {
    all: Vec<View>,
    /// Where the vantage of the latest segment stands.
    at: usize,
}

impl View {
    /// `frame` is a super-frame with `packet_len` bytes of layer 3.
    #[inline(never)]
    pub(super) fn quote_super(&mut self, frame: &Frame<'_>, packet_len: u32, out: &mut Vec<Derived>) {
        self.super_frames = self.super_frames.saturating_add(1);
        self.longest = self.longest.max(packet_len);
        if self.super_frames <= QUOTED {
            out.push(Derived::SuperFrame(Cited::of(frame)));
        }
    }
}

impl Views {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &View> {
        self.all.iter()
    }

    /// What `vantage` shows.
    pub fn of(&self, vantage: VantageId) -> Option<&View> {
        self.all.iter().find(|view| view.vantage == vantage)
    }

    /// The same, to be changed; a vantage that is new shows nothing yet.
    #[inline(always)]
    pub fn entry(&mut self, vantage: VantageId) -> Option<&mut View> {
        if self.all.get(self.at).is_none_or(|view| view.vantage != vantage) {
            self.turn(vantage);
        }
        self.all.get_mut(self.at)
    }

    #[inline(never)]
    fn turn(&mut self, vantage: VantageId) {
        self.at = self.all.iter().position(|view| view.vantage == vantage).unwrap_or_else(|| {
            self.all.push(View { vantage, segments: 0, is_two_way: false, super_frames: 0, longest: 0 });
            self.all.len().saturating_sub(1)
        });
    }
}
