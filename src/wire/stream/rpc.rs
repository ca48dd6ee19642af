//! ONC RPC over TCP (RFC 5531): records (section 11) that hold a call or a reply (section 9), as far as NFS needs it.

use super::xdr::Words;
use crate::wire::window::piece;

/// The first byte of the mark of a record that is one fragment of less than 16 MiB.
pub(super) const WHOLE: u8 = 0x80;
/// The program number of NFS.
const NFS: u32 = 100_003;
/// Records of one segment that are read.
const MOST: usize = 32;
/// AUTH_SYS (RFC 5531 section 8.2).
const SYS: u32 = 1;

/// A call of NFS or a reply.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// A call.
    Call(Call<'a>),
    /// A reply to a call of whatever program.
    Reply {
        /// The call's number.
        xid: u32,
        /// How it went (`nfsstat3`, `nfsstat4`); `None` if the call was not carried out.
        status: Option<u32>,
    },
}

/// A call of NFS.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its number.
    pub xid: u32,
    /// The caller's name and user, where it says so by AUTH_SYS.
    pub caller: Option<(&'a [u8], u32)>,
    /// The version of NFS.
    pub version: u32,
    /// What it asks for, as a number of that version.
    pub procedure: u32,
    /// With what, as far as it is captured.
    pub args: &'a [u8],
}

/// Whether a payload that begins with `head` begins as a call of NFS, or as a reply.
pub(super) const fn begins(head: &[u8; 20]) -> bool {
    let [.., d] = *head;
    let kind = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    // A call of RPC version 2 to NFS; a reply that is accepted, with a verifier of any kind.
    let state = u32::from_be_bytes([head[12], head[13], head[14], head[15]]);
    let program = u32::from_be_bytes([head[16], head[17], head[18], d]);
    (kind == 0 && state == 2 && program == NFS) || (kind == 1 && state == 0 && program <= 6)
}

/// The messages of `payload`, as far as they are captured.
pub fn messages(payload: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = payload;
    let records = std::iter::from_fn(move || {
        let mark = u32::from_be_bytes(piece(rest, 0)?);
        let length = usize::try_from(mark & 0x7fff_ffff).ok()?;
        let bytes = rest.get(4..)?;
        let record = bytes.get(..length).unwrap_or(bytes);
        rest = bytes.get(length..).unwrap_or(&[]);
        // A record of several fragments is not read.
        Some(Some(record).filter(|_| mark >> 31 == 1))
    });
    records.take(MOST).filter_map(|record| message(Words(record?)))
}

fn message(mut words: Words<'_>) -> Option<Message<'_>> {
    let (xid, kind) = (words.number()?, words.number()?);
    match kind {
        0 => call(xid, words),
        1 => {
            let is_accepted = words.number()? == 0;
            words.number()?;
            words.opaque()?;
            let is_done = is_accepted && words.number()? == 0;
            Some(Message::Reply { xid, status: if is_done { words.number() } else { None } })
        }
        _ => None,
    }
}

fn call(xid: u32, mut words: Words<'_>) -> Option<Message<'_>> {
    let (rpc, program, version, procedure) = (words.number()?, words.number()?, words.number()?, words.number()?);
    if rpc != 2 || program != NFS {
        return None;
    }
    let (flavor, mut credential) = (words.number()?, Words(words.opaque()?));
    let caller = if flavor == SYS {
        // A stamp, the machine's name, the user.
        credential.number().and_then(|_| Some((credential.opaque()?, credential.number()?)))
    } else {
        None
    };
    words.number()?;
    words.opaque()?;
    Some(Message::Call(Call { xid, caller, version, procedure, args: words.0 }))
}
