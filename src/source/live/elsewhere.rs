//! The host's own word where there is no netlink: none. It is said as what could not be learned.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use super::{Device, refused};
use crate::event::Fact;
use crate::source::SourceError;

/// The facts of this machine: none can be asked for.
#[derive(Debug)]
pub struct HostFacts {
    links: BTreeMap<u32, Device>,
}

impl HostFacts {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn open() -> Result<Self, SourceError> {
        Err(refused(
            "host",
            "its facts come from the Linux kernel, and this is another system; write them by hand as host.jsonl, one a line",
        ))
    }

    /// Nothing.
    pub fn read_all(&mut self) -> Vec<Fact> {
        Vec::new()
    }

    /// Nothing.
    ///
    /// # Errors
    /// Never.
    pub fn poll(&mut self) -> Result<Vec<Fact>, SourceError> {
        Ok(Vec::new())
    }

    /// Nothing to wait for.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// None.
    pub const fn links(&self) -> &BTreeMap<u32, Device> {
        &self.links
    }
}
