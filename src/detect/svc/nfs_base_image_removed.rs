//! SVC012: an image that instances are built on is removed from a directory that compute nodes share over NFS (RFC 1813 procedure REMOVE,
//! RFC 7530 operation REMOVE), and another node misses it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::detect::{Context, Detector, Entry, Needs, filter};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Outside, Span, TimedMap, Timestamp};
use crate::world::{Deed, Derived, FileStep, Observation, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "SVC012",
        name: "nfs-base-image-removed",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Critical)],
        page: include_str!("nfs_base_image_removed.md"),
    },
    hears: &[],
    follows: &[Topic::Nfs],
    needs: Needs::Frames,
    make: |_| Box::new(NfsBaseImageRemoved::default()),
};

/// Who looks for an image to build a new instance on makes it at once where it is not there; who needs it for an old one cannot.
const MADE_AGAIN: Span = Span::secs(10);
/// Images that are followed.
const MOST: usize = 1_024;
/// Images that a sentence names.
const NAMED: usize = 3;

/// The server, and the name of an image on it.
type Image = (IpAddr, Outside);

struct NfsBaseImageRemoved {
    images: TimedMap<Image, Story>,
}

/// A removed image.
struct Story {
    removed: Arc<FileStep>,
    /// Who looked for it since, first; how often, and whether that was told.
    missed: Option<Arc<FileStep>>,
    misses: u64,
    is_told: bool,
}

impl Default for NfsBaseImageRemoved {
    fn default() -> Self {
        Self { images: TimedMap::new(MOST) }
    }
}

impl NfsBaseImageRemoved {
    fn removed(&mut self, step: &Arc<FileStep>, cx: &mut Context<'_>) {
        let image = (step.server.0, step.name.clone());
        let story = Story { removed: Arc::clone(step), missed: None, misses: 0, is_told: false };
        self.images.insert_until(image, story, Timestamp::MAX);
        self.tell_removals(step.server.0, step.client, cx);
    }

    fn missed(&mut self, step: &Arc<FileStep>, cx: &Context<'_>) {
        let image = (step.server.0, step.name.clone());
        let Some(story) = self.images.get_mut(&image).filter(|story| story.removed.client != step.client) else {
            return;
        };
        story.misses = story.misses.saturating_add(1);
        if story.missed.is_none() {
            story.missed = Some(Arc::clone(step));
            self.images.wake(&image, cx.now.after(MADE_AGAIN));
        }
    }

    fn made(&mut self, step: &FileStep, cx: &mut Context<'_>) {
        let image = (step.server.0, step.name.clone());
        let Some(story) = self.images.remove(&image) else { return };
        let why = format!("{} made it again at {}", who(step), step.at.clock());
        if story.is_told {
            cx.resolve(key_of(&image), why);
        } else if self.removals(image.0, story.removed.client).is_empty() {
            cx.resolve(key_of_all(image.0, story.removed.client), why);
        } else {
            self.tell_removals(image.0, story.removed.client, cx);
        }
    }

    /// Images of `server` that `client` removed, and that nobody missed so far.
    fn removals(&self, server: IpAddr, client: IpAddr) -> Vec<&FileStep> {
        let is_one = |story: &&Story| !story.is_told && story.removed.client == client;
        let stories = self.images.by_age().filter(|((at, _), _)| *at == server).map(|(_, story)| story);
        stories.filter(is_one).map(|story| story.removed.as_ref()).collect()
    }

    /// Says what `client` removed, and nobody missed.
    fn tell_removals(&self, server: IpAddr, client: IpAddr, cx: &mut Context<'_>) {
        let removals = self.removals(server, client);
        let (Some(first), Some(latest)) =
            (removals.iter().min_by_key(|step| step.at), removals.iter().max_by_key(|step| step.at))
        else {
            return;
        };
        let names: BTreeSet<String> = removals.iter().map(|step| step.name.to_string()).collect();
        let named: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
        let headline = format!(
            "{} removed {} {}: {}{}. Instances of other nodes that share the directory may need {}.",
            who(latest),
            if removals.len() == 1 {
                format!("a base image from the NFS server {server} at")
            } else {
                format!("{} base images from the NFS server {server} since", removals.len())
            },
            first.at.clock(),
            named.join(", "),
            if names.len() > NAMED { " and others" } else { "" },
            if removals.len() == 1 { "it" } else { "them" },
        );
        let count = u64::try_from(removals.len()).unwrap_or(u64::MAX);
        let claim = Claim::new(key_of_all(server, client), Confidence::Likely, Severity::Warning, headline)
            .seen(first.at, count)
            .until(latest.at)
            .at(latest.vantage)
            .number("images", count)
            .proved_by(latest.cited.iter().cloned())
            .filter(format!("(nfs.procedure_v3 == 12 || nfs.opcode == 28) && {}", filter::host(client)))
            .assuming("they are nova's images that instances are built on, as their names are formed");
        cx.raise(told(claim, latest));
    }

    /// Says that an image is missed that is gone.
    fn tell_missed(&mut self, image: &Image, cx: &mut Context<'_>) {
        let Some(story) = self.images.get_mut(image).filter(|story| !story.is_told) else { return };
        let Some(missed) = story.missed.clone() else { return };
        story.is_told = true;
        let (removed, misses) = (Arc::clone(&story.removed), story.misses);
        let headline = format!(
            "{} removed the base image {} from the NFS server {} at {}; {} looked for it {} later, and it is not there.",
            who(&removed),
            image.1,
            image.0,
            removed.at.clock(),
            who(&missed),
            missed.at.since(removed.at),
        );
        let claim = Claim::new(key_of(image), Confidence::Confirmed, Severity::Critical, headline)
            .seen(removed.at, misses.saturating_add(1))
            .at(missed.vantage)
            .number("missed", misses)
            .number("removed_by", removed.client.to_string())
            .number("missed_by", missed.client.to_string())
            .proved_by(removed.cited.iter().chain(&missed.cited).cloned())
            .filter(format!("nfs.name contains \"{}\"", image.1));
        cx.raise(told(claim, &removed));
        let all = key_of_all(image.0, removed.client);
        if self.removals(image.0, removed.client).is_empty() {
            cx.absorb(all, format!("the image is missed, which is told of {}", image.1));
        } else {
            self.tell_removals(image.0, removed.client, cx);
        }
    }
}

impl Detector for NfsBaseImageRemoved {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::File(step)) = seen else { return };
        match step.deed {
            Deed::Removed => self.removed(step, cx),
            Deed::Made => self.made(step, cx),
            Deed::Missed => self.missed(step, cx),
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.images.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(image) = self.images.due(cx.now) {
            self.tell_missed(&image, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for image in self.images.waiting() {
            if let Some(missed) = self.images.peek(image).and_then(|story| story.missed.as_ref()) {
                cx.pending(
                    format!("{} looked for {}, which was removed: it may fetch it again", who(missed), image.1),
                    missed.at,
                );
            }
        }
    }
}

/// Who did it, as a person says it: `c03 (10.0.0.33, user 162)`.
fn who(step: &FileStep) -> String {
    match &step.caller {
        Some((machine, user)) if !machine.is_empty() => format!("{machine} ({}, user {user})", step.client),
        _ => step.client.to_string(),
    }
}

fn key_of((server, name): &Image) -> Key {
    Key::new().with("server", server).with("name", name)
}

fn key_of_all(server: IpAddr, client: IpAddr) -> Key {
    Key::new().with("server", server).with("client", client)
}

/// The claim with its causes and what to do.
fn told(claim: Claim, removed: &FileStep) -> Claim {
    claim
        .cause(
            "nova's image cache on a shared directory: a node counts only the images that running nodes use, and takes those of a node that \
             is down for unused",
        )
        .cause("somebody cleaned the directory by hand")
        .step(
            "Keep every node that shares the directory from removing images, or give each a cache of its own (image_cache_subdirectory_name)",
            "grep -n 'remove_unused_base_images\\|image_cache_subdirectory_name' /etc/nova/nova.conf",
        )
        .step(
            "Find the instances that are built on it, on the node that misses it",
            Command::with("grep -l {} /var/lib/nova/instances/*/disk.info; qemu-img info /var/lib/nova/instances/INSTANCE/disk", &[&removed.name]),
        )
        .step(
            "Bring it back from Glance under the same name, and to the same size",
            Command::with("glance image-download --file /var/lib/nova/instances/_base/{} IMAGE", &[&removed.name]),
        )
}
