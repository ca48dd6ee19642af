//! `netdiag path FILE…`: where packets were seen, with which tags and sizes, where not, and how long each hop took.

use super::args::{Format, Path};
use super::judge::input;
use super::review::{add, read_settings};
use super::{Exit, say};
use crate::event::Frame;
use crate::render;
use crate::source::live::Filter;
use crate::source::{Case, Item, Merge};
use crate::wire::LinkType;
use crate::world::Paths;

/// Bytes of the two addresses before the tags, and of each tag (IEEE 802.1Q-2022 clause 9).
const ADDRESSES: usize = 12;
const TAG: usize = 4;

/// Runs the command.
///
/// # Errors
/// When the settings or a case cannot be read, or the output cannot be written.
pub fn run(args: &Path) -> anyhow::Result<Exit> {
    let settings = read_settings(args.settings.as_deref())?;
    let mut case = Case::default();
    for file in &args.files {
        add(&mut case, file)?;
    }
    for host in &args.host {
        case.add_host(host)?;
    }
    let mut is_troubled = !case.refused.is_empty();
    for note in &case.notes {
        anstream::eprintln!("netdiag: {note}");
    }
    for refused in &case.refused {
        anstream::eprintln!("netdiag: {refused}");
    }
    case.survey(!args.no_align);
    let mut flow = args.flow.as_deref().map(Chosen::new).transpose()?;
    let mut paths = Paths::new(&settings);
    let mut merge = Merge::new(case.lanes, case.facts);
    while let Some(item) = merge.next() {
        match item {
            Item::Frame(record, vantage, link, time) => {
                let frame = Frame::decode(record, vantage, link, time);
                if flow.as_mut().is_none_or(|flow| flow.has(&frame)) {
                    paths.note(&frame);
                }
            }
            Item::Vantage(id, vantage) => {
                let captured = merge.captured(id);
                paths.add_vantage(id, &vantage, captured);
            }
            Item::Fact(fact) => paths.learn(&fact),
            Item::Ended(..) | Item::Lost(_) | Item::Tick(_) => {}
        }
    }
    let inputs: Vec<_> = merge.outcomes().into_iter().map(input).collect();
    for damage in inputs.iter().filter_map(|input| input.damage.as_ref()) {
        is_troubled = true;
        anstream::eprintln!("netdiag: {damage}");
    }
    let paths = paths.finish(inputs, args.most);
    match args.format {
        Format::Text => say(&render::paths_text(&paths))?,
        Format::Json | Format::Ndjson => say(&format!("{}\n", render::paths_json(&paths)?))?,
    }
    Ok(if is_troubled { Exit::Trouble } else { Exit::Clean })
}

/// The packets that an expression chooses, whatever tags they wear where: it is asked about each as if it had none.
struct Chosen {
    text: String,
    filters: Vec<(LinkType, Filter)>,
    untagged: Vec<u8>,
}

impl Chosen {
    fn new(text: &str) -> anyhow::Result<Self> {
        // An expression that is none is told before anything is read.
        Filter::new(text, LinkType::Ethernet).map_err(anyhow::Error::msg)?;
        Ok(Self { text: text.to_owned(), filters: Vec::new(), untagged: Vec::new() })
    }

    fn has(&mut self, frame: &Frame<'_>) -> bool {
        let known = self.filters.iter().position(|(link, _)| *link == frame.link);
        let at = known.unwrap_or_else(|| {
            // Of a link type that the expression says nothing about no packet is chosen.
            self.filters.extend(Filter::new(&self.text, frame.link).ok().map(|filter| (frame.link, filter)));
            self.filters.len().saturating_sub(1)
        });
        let Some((_, filter)) = self.filters.get(at).filter(|(link, _)| *link == frame.link) else { return false };
        let tags = frame.layers.tags().depth() * TAG;
        if tags == 0 || frame.link != LinkType::Ethernet {
            return filter.accepts(frame.bytes);
        }
        self.untagged.clear();
        self.untagged.extend_from_slice(frame.bytes.get(..ADDRESSES).unwrap_or_default());
        self.untagged.extend_from_slice(frame.bytes.get(ADDRESSES + tags..).unwrap_or_default());
        filter.accepts(&self.untagged)
    }
}
