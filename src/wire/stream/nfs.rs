//! NFS version 3 (RFC 1813) and 4 (RFC 7530, RFC 8881), as far as a call names a file: what is removed, moved, made and looked for.

use super::rpc::Call;
use super::xdr::Words;

/// Operations of one compound that are read.
const MOST: usize = 32;

/// What a call does to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act<'a> {
    /// It takes the name away.
    Remove(&'a [u8]),
    /// It gives the file of the first name the second.
    Rename(&'a [u8], &'a [u8]),
    /// It makes a file, or a further name of one.
    Make(&'a [u8]),
    /// It looks for a file.
    Look(&'a [u8]),
}

/// What `call` does to names, in order, as far as it is captured.
pub fn acts<'a>(call: &Call<'a>) -> impl Iterator<Item = Act<'a>> + use<'a> {
    let words = Words(call.args);
    let of_one = if call.version == 3 { simple(call.procedure, words) } else { None };
    let compound = (call.version == 4 && call.procedure == 1).then(|| Compound::new(words)).flatten();
    of_one.into_iter().chain(compound.into_iter().flatten().take(MOST).flatten())
}

/// A procedure of version 3: a directory's handle, and a name in it.
fn simple(procedure: u32, mut words: Words<'_>) -> Option<Act<'_>> {
    words.opaque()?;
    let name = words.opaque()?;
    match procedure {
        3 => Some(Act::Look(name)),
        8 => Some(Act::Make(name)),
        12 => Some(Act::Remove(name)),
        14 => {
            words.opaque()?;
            Some(Act::Rename(name, words.opaque()?))
        }
        15 => {
            // LINK: the file, the directory, the name.
            Some(Act::Make(words.opaque()?))
        }
        _ => None,
    }
}

/// The operations of a compound (RFC 7530 section 15.2), up to the first whose arguments are not known here.
struct Compound<'a> {
    words: Words<'a>,
    left: u32,
}

impl<'a> Compound<'a> {
    fn new(mut words: Words<'a>) -> Option<Self> {
        // A tag and a minor version.
        words.opaque()?;
        words.number()?;
        Some(Self { left: words.number()?, words })
    }

    /// The operation that follows: what it does to a name, if anything; `None` where nothing more can be read.
    fn operation(&mut self) -> Option<Option<Act<'a>>> {
        let words = &mut self.words;
        let act = match words.number()? {
            // ACCESS.
            3 => words.skip(4).map(|()| None)?,
            // GETATTR.
            9 => {
                let masks = usize::try_from(words.number()?).ok()?;
                words.skip(masks.checked_mul(4)?)?;
                None
            }
            // GETFH, LOOKUPP, PUTPUBFH, PUTROOTFH, READLINK, RESTOREFH, SAVEFH: nothing.
            10 | 16 | 23 | 24 | 27 | 31 | 32 => None,
            11 => Some(Act::Make(words.opaque()?)),
            15 => Some(Act::Look(words.opaque()?)),
            18 => open(words)?,
            // PUTFH.
            22 => words.opaque().map(|_| None)?,
            28 => Some(Act::Remove(words.opaque()?)),
            29 => Some(Act::Rename(words.opaque()?, words.opaque()?)),
            // SEQUENCE (RFC 8881 section 18.46): the session, three numbers, and whether to keep the answer.
            53 => words.skip(32).map(|()| None)?,
            _ => return None,
        };
        Some(act)
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = Option<Act<'a>>;

    fn next(&mut self) -> Option<Option<Act<'a>>> {
        self.left = self.left.checked_sub(1)?;
        self.operation()
    }
}

/// OPEN (RFC 7530 section 16.16): of a name, made if need be; other claims name no file.
fn open<'a>(words: &mut Words<'a>) -> Option<Option<Act<'a>>> {
    // A sequence number, two shares, and the owner: a client and a name of its own.
    words.skip(12 + 8)?;
    words.opaque()?;
    let makes = words.number()? == 1;
    if makes {
        let mode = words.number()?;
        if mode >= 2 {
            words.skip(8)?;
        }
        if mode != 2 {
            let masks = usize::try_from(words.number()?).ok()?;
            words.skip(masks.checked_mul(4)?)?;
            words.opaque()?;
        }
    }
    // CLAIM_NULL is by name; behind another claim nothing is read.
    if words.number()? != 0 {
        return None;
    }
    let name = words.opaque()?;
    Some(Some(if makes { Act::Make(name) } else { Act::Look(name) }))
}

#[cfg(test)]
mod tests {
    use super::super::rpc::{Message, messages};
    use super::*;

    /// A record of a call by machine `c03`, user 162.
    fn call(version: u32, procedure: u32, args: &[u8]) -> Vec<u8> {
        let mut record = Vec::new();
        for word in [7, 0, 2, 100_003, version, procedure, 1, 24, 0, 3] {
            record.extend(u32::to_be_bytes(word));
        }
        record.extend(b"c03\0");
        // The user, the group, no further groups; and an empty verifier.
        for word in [162_u32, 162, 0, 0, 0] {
            record.extend(word.to_be_bytes());
        }
        record.extend(args);
        let mut bytes = (0x8000_0000 | u32::try_from(record.len()).unwrap()).to_be_bytes().to_vec();
        bytes.extend(record);
        bytes
    }

    fn opaque(bytes: &[u8]) -> Vec<u8> {
        let mut all = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
        all.extend(bytes);
        all.resize(4 + bytes.len().next_multiple_of(4), 0);
        all
    }

    fn words(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
    }

    fn read(bytes: &[u8]) -> Vec<Act<'_>> {
        messages(bytes)
            .flat_map(|message| match message {
                Message::Call(call) => {
                    assert_eq!((call.xid, call.caller), (7, Some((&b"c03"[..], 162))));
                    acts(&call).collect::<Vec<_>>()
                }
                Message::Reply { .. } => Vec::new(),
            })
            .collect()
    }

    #[test]
    fn version_3_names_what_it_removes_and_moves() {
        let remove = call(3, 12, &[opaque(&[9; 28]), opaque(b"disk.info")].concat());
        assert_eq!(read(&remove), [Act::Remove(b"disk.info")]);
        let rename = call(3, 14, &[opaque(&[9; 28]), opaque(b"a"), opaque(&[9; 28]), opaque(b".nfs01")].concat());
        assert_eq!(read(&rename), [Act::Rename(b"a", b".nfs01")]);
        assert_eq!(read(&[remove, rename].concat()).len(), 2, "two records in one segment");
        assert_eq!(read(&call(3, 1, &opaque(&[9; 28]))), [], "GETATTR");
    }

    #[test]
    fn version_4_is_read_operation_by_operation() {
        let sequence = [words(&[53]), vec![5; 32]].concat();
        let put = [words(&[22]), opaque(&[9; 20])].concat();
        let remove = [words(&[28]), opaque(b"disk.info"), words(&[9, 1, 0x10])].concat();
        let compound = |n: u32, ops: &[u8]| call(4, 1, &[opaque(b""), words(&[1, n]), ops.to_vec()].concat());
        assert_eq!(read(&compound(4, &[sequence.clone(), put.clone(), remove].concat())), [Act::Remove(b"disk.info")]);
        let open = [words(&[18, 0, 1, 0, 1, 2]), opaque(b"owner"), words(&[0, 0]), opaque(b"disk")].concat();
        assert_eq!(read(&compound(3, &[sequence.clone(), put.clone(), open].concat())), [Act::Look(b"disk")]);
        let made = [words(&[18, 0, 1, 0, 1, 2]), opaque(b"owner"), words(&[1, 0, 1, 2]), opaque(&[0; 4])].concat();
        let made = [made, words(&[0]), opaque(b"disk")].concat();
        assert_eq!(read(&compound(3, &[sequence.clone(), put, made].concat())), [Act::Make(b"disk")]);
        assert_eq!(read(&compound(2, &[sequence, words(&[99, 1, 2, 3])].concat())), [], "not known");
    }

    #[test]
    fn a_reply_says_how_it_went() {
        let reply = |accepted: u32, stat: u32| {
            let record = words(&[7, 1, accepted, 0, 0, 0, stat]);
            [words(&[0x8000_0000 | 28]), record].concat()
        };
        let status = |bytes: &[u8]| match messages(bytes).next() {
            Some(Message::Reply { xid: 7, status }) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!((status(&reply(0, 2)), status(&reply(1, 2))), (Some(2), None));
    }

    #[test]
    fn what_is_cut_or_lies_ends_the_reading() {
        let whole = call(3, 12, &[opaque(&[9; 28]), opaque(b"disk.info")].concat());
        for length in 0..whole.len() - 4 {
            assert_eq!(read_any(&whole[..length]), 0, "{length}");
        }
        assert_eq!(read_any(&[0xff; 200]), 0);
        let long = call(3, 12, &[words(&[u32::MAX]), opaque(b"disk.info")].concat());
        assert_eq!(read_any(&long), 0);
    }

    fn read_any(bytes: &[u8]) -> usize {
        let acts = messages(bytes).map(|message| match message {
            Message::Call(call) => acts(&call).count(),
            Message::Reply { .. } => 0,
        });
        acts.sum()
    }
}
