//! A source of which only some frames are taken. The expression is compiled for each link type that the source turns out to have; a link
//! type for which it makes no sense, such as `ether` without an Ethernet header, gives no frame.

use std::os::fd::BorrowedFd;

use super::live::Filter;
use super::{Interface, Source, SourceError, Step};
use crate::event::Record;
use crate::value::Outside;

/// A source behind a filter.
pub(super) struct Filtered {
    inner: Box<dyn Source>,
    text: String,
    /// The source's interfaces, with the filter written beside them.
    interfaces: Vec<Interface>,
    filters: Vec<Option<Filter>>,
}

impl Filtered {
    /// Takes of `inner` the frames for which the expression `text` holds.
    pub(super) fn new(inner: Box<dyn Source>, text: &str) -> Self {
        let mut filtered = Self { inner, text: text.to_owned(), interfaces: Vec::new(), filters: Vec::new() };
        filtered.learn();
        filtered
    }

    /// Takes note of interfaces that are new, and of what the others have come to.
    fn learn(&mut self) {
        for interface in self.inner.interfaces().iter().skip(self.filters.len()) {
            self.filters.push(Filter::new(&self.text, interface.link).ok());
        }
        self.interfaces.clear();
        self.interfaces.extend(self.inner.interfaces().iter().cloned().map(|interface| {
            let filter = match interface.filter {
                Some(before) => Outside::from(format!("({}) and ({})", before.raw(), self.text).as_str()),
                None => Outside::from(self.text.as_str()),
            };
            Interface { filter: Some(filter), ..interface }
        }));
    }
}

impl Source for Filtered {
    fn advance(&mut self) -> Result<Step, SourceError> {
        loop {
            let step = self.inner.advance()?;
            if self.inner.interfaces().len() != self.filters.len() {
                self.learn();
            }
            if step != Step::Record {
                self.learn();
                return Ok(step);
            }
            let record = self.inner.record();
            let filter = self.filters.get(record.interface as usize).and_then(Option::as_ref);
            if filter.is_some_and(|filter| filter.accepts(record.bytes)) {
                return Ok(Step::Record);
            }
        }
    }

    fn record(&self) -> Record<'_> {
        self.inner.record()
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn format(&self) -> String {
        self.inner.format()
    }

    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn take_stock(&mut self) {
        self.inner.take_stock();
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }
}
