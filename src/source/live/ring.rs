//! The packet ring: an AF_PACKET socket with a TPACKET_V3 ring in shared memory (packet(7), Documentation/networking/packet_mmap).
//! It alone tells the direction of each frame, the TPID the kernel took off, and the segments behind a super-frame.
//!
//! `unsafe` is here for the socket options that no safe crate has, and for the shared memory. The kernel owns a block until
//! it sets TP_STATUS_USER; we own it until we give it back; nobody else writes in between. Every offset that is read from the ring is
//! checked against the block before it is used. Time stamps are the kernel's own (CLOCK_REALTIME, nanoseconds).
#![expect(unsafe_code, reason = "memory shared with the kernel, and socket options that no safe crate offers")]
#![expect(
    clippy::arithmetic_side_effects,
    reason = "offsets inside one mapping, which the kernel made and which is far below the limits"
)]

use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use super::kept::Instruction;
use crate::event::Offload;
use crate::source::scout::FRAMES;
use crate::value::{Timestamp, prefetch};

/// Bytes of one block: room for the largest super-frame, and few enough that a quiet link's half-empty blocks do not use up the ring.
const BLOCK: usize = 256 << 10;
/// Milliseconds after which the kernel hands over a block that is not full.
const RETIRE_MS: u32 = 60;
/// Bytes of a slot as the kernel wants it told; TPACKET_V3 packs frames by their own length.
const SLOT: usize = 2_048;
/// Bytes of `struct virtio_net_hdr`, which the kernel puts before each frame.
const VIRTIO: usize = 10;
/// Bytes of a tag.
const TAG: usize = 4;
/// Bytes of the two addresses before a tag.
const ADDRESSES: usize = 12;
/// Frames that are read behind the one at the head, so that what they need is fetched meanwhile: the next, and those that a look ahead is from it.
const AHEAD: usize = 1 + FRAMES;
/// Bytes of the next frame that are fetched before it is read: what the kernel tells of it, and its headers.
const FETCHED: usize = 192;

/// The ring and its socket.
pub(super) struct Ring {
    socket: OwnedFd,
    map: NonNull<u8>,
    blocks: usize,
    /// The block that is read, or waited for.
    at: usize,
    /// Frames of it that are still to be read; its memory is ours until the last has been at the head.
    left: u32,
    /// Whether the block is ours.
    is_ours: bool,
    /// Where the next of them begins, in bytes from its start.
    next: usize,
    head: Head,
    /// Those that were read and come next.
    behind: VecDeque<Head>,
}

/// What the ring tells of the frame at its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// When it passed.
    pub(super) time: Timestamp,
    /// Bytes on the wire, a tag put back included.
    pub(super) wire_len: u32,
    /// Whom it is for, as packet(7) numbers it; 4 is sent by us.
    pub(super) packet_type: u8,
    /// What the card was to do.
    pub(super) offload: Offload,
    /// Where the frame begins, from the start of the ring, and its bytes.
    span: (usize, usize),
}

/// What the ring counted since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Frames that passed the filter, those lost included.
    pub(super) passed: u64,
    /// Frames for which the ring had no room.
    pub(super) lost: u64,
}

// SAFETY: the mapping belongs to this value alone, and nothing about it is tied to the thread that made it.
unsafe impl Send for Ring {}

impl Ring {
    /// A ring of `bytes` (rounded down to whole blocks, one at least) whose kernel side keeps of each frame what `program` tells.
    /// It hears nothing before `attach`.
    ///
    /// # Errors
    /// Those of the system: above all EPERM where CAP_NET_RAW is missing, and ENOMEM.
    pub(super) fn open(bytes: usize, program: &[Instruction]) -> io::Result<Self> {
        // SAFETY: plain system call; protocol 0 hears nothing yet.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made, and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let set = |name: c_int, value: c_int| option(&socket, libc::SOL_PACKET, name, &value);
        set(libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V3 as c_int)?;
        set(libc::PACKET_VNET_HDR, 1)?;
        // Room before the frame in which its tag is put back.
        set(libc::PACKET_RESERVE, TAG as c_int)?;
        filter(&socket, program)?;
        let blocks = (bytes / BLOCK).clamp(1, (u32::MAX as usize) / BLOCK);
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: SLOT as u32,
            tp_frame_nr: (blocks.saturating_mul(BLOCK / SLOT)) as u32,
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        option(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let length = blocks.saturating_mul(BLOCK);
        let (access, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: the kernel chooses the place; the length is that of the ring just made on this socket.
        let map = unsafe { libc::mmap(ptr::null_mut(), length, access, how, socket.as_raw_fd(), 0) };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let map = NonNull::new(map.cast()).ok_or_else(|| io::Error::other("the ring was mapped to nowhere"))?;
        let head = Head { time: Timestamp::MIN, wire_len: 0, packet_type: 0, offload: Offload::Unknown, span: (0, 0) };
        let behind = VecDeque::with_capacity(AHEAD + 1);
        Ok(Self { socket, map, blocks, at: 0, left: 0, is_ours: false, next: 0, head, behind })
    }

    /// Hears the link with this index from now on, and no other; `is_promiscuous` also what is not for this host.
    ///
    /// # Errors
    /// Those of the system: ENODEV where there is no such link.
    pub(super) fn attach(&mut self, index: u32, is_promiscuous: bool) -> io::Result<()> {
        // SAFETY: all fields are integers, for which zero is a value.
        let mut place: libc::sockaddr_ll = unsafe { mem::zeroed() };
        place.sll_family = libc::AF_PACKET as u16;
        place.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        place.sll_ifindex = index as i32;
        // SAFETY: the address is a sockaddr_ll, and its length is told.
        let bound = unsafe {
            let length = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            libc::bind(self.socket.as_raw_fd(), ptr::from_ref(&place).cast(), length)
        };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        if is_promiscuous {
            // SAFETY: all fields are integers, for which zero is a value.
            let mut member: libc::packet_mreq = unsafe { mem::zeroed() };
            member.mr_ifindex = index as i32;
            member.mr_type = libc::PACKET_MR_PROMISC as u16;
            option(&self.socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &member)?;
        }
        Ok(())
    }

    /// Moves to the next frame; `false` if none is there now.
    pub(super) fn advance(&mut self) -> bool {
        loop {
            self.read_ahead();
            if let Some(head) = self.behind.pop_front() {
                self.head = head;
                return true;
            }
            if self.is_ours {
                self.give_back();
            }
            if !self.take() {
                return false;
            }
        }
    }

    /// What is told of the frame that `advance` moved to.
    pub(super) const fn head(&self) -> &Head {
        &self.head
    }

    /// The frame that `advance` moved to, as it was on the wire.
    pub(super) fn bytes(&self) -> &[u8] {
        if !self.is_ours {
            return &[];
        }
        self.frame(&self.head)
    }

    /// The frame `AHEAD` behind the one that `advance` moved to, if the block has so many more.
    pub(super) fn ahead(&self) -> &[u8] {
        self.behind.get(AHEAD - 1).map_or(&[], |head| self.frame(head))
    }

    /// The frame of which `head` tells: that at the head, or one behind it.
    fn frame(&self, head: &Head) -> &[u8] {
        let (start, length) = head.span;
        // SAFETY: `read` checked the span against the block, which is ours until `advance` is called, and that needs us mutably.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(start), length) }
    }

    /// What was counted since this was asked last.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn counted(&self) -> io::Result<Counted> {
        let mut stats = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let mut length = mem::size_of_val(&stats) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, which is the size of `stats`.
        let asked = unsafe {
            let (level, name) = (libc::SOL_PACKET, libc::PACKET_STATISTICS);
            libc::getsockopt(self.socket.as_raw_fd(), level, name, ptr::from_mut(&mut stats).cast(), &raw mut length)
        };
        if asked < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Counted { passed: u64::from(stats.tp_packets), lost: u64::from(stats.tp_drops) })
    }

    /// The trouble that the socket met, such as a link that went down; asking forgets it.
    pub(super) fn trouble(&self) -> Option<io::Error> {
        rustix::net::sockopt::socket_error(&self.socket).ok()?.err().map(Into::into)
    }

    /// The hardware type of a link (ARPHRD, netdevice(7)).
    ///
    /// # Errors
    /// Those of the system: ENODEV where there is no such link.
    pub(super) fn hardware(&self, name: &str) -> io::Result<u16> {
        // SAFETY: all fields are integers, for which zero is a value.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        // One byte is left for the end.
        for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
            *to = from.cast_signed();
        }
        // SAFETY: the request is an ifreq with a name that ends; the kernel fills in the address.
        let asked = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCGIFHWADDR, ptr::from_mut(&mut request)) };
        if asked < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: SIOCGIFHWADDR fills in `ifru_hwaddr`.
        Ok(unsafe { request.ifr_ifru.ifru_hwaddr.sa_family })
    }

    /// The status word of the block at hand, which the kernel and we write by turns.
    fn status(&self) -> &AtomicU32 {
        let offset = mem::offset_of!(libc::tpacket_block_desc, hdr);
        // SAFETY: the block lies in the mapping, is aligned to its size, and its status is an aligned word that is only touched atomically.
        unsafe { AtomicU32::from_ptr(self.map.as_ptr().add(self.at * BLOCK + offset).cast()) }
    }

    /// Takes the block at hand, if the kernel has handed it over.
    fn take(&mut self) -> bool {
        if self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        self.is_ours = true;
        // SAFETY: the block is ours now, and begins with its description.
        let block =
            unsafe { self.map.as_ptr().add(self.at * BLOCK).cast::<libc::tpacket_block_desc>().read_volatile() };
        // SAFETY: version 3, which was asked for, has the only member of the union.
        let header = unsafe { block.hdr.bh1 };
        self.left = header.num_pkts;
        self.next = header.offset_to_first_pkt as usize;
        true
    }

    /// Gives the block at hand back to the kernel, and turns to the next.
    fn give_back(&mut self) {
        self.is_ours = false;
        self.head.span = (0, 0);
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.at = (self.at + 1) % self.blocks;
    }

    /// Reads frames of the block at hand, until so many are there as may be behind the one that comes to the head.
    fn read_ahead(&mut self) {
        while self.left > 0 && self.behind.len() <= AHEAD {
            self.left -= 1;
            match self.read() {
                Some(head) => self.behind.push_back(head),
                // The kernel keeps its word; if it ever does not, the rest of the block is not to be trusted.
                None => self.left = 0,
            }
        }
    }

    /// Reads the frame at `next`, puts its tag back, and moves on; `None` if what the ring tells lies outside the block.
    fn read(&mut self) -> Option<Head> {
        const HEADER: usize = mem::size_of::<libc::tpacket3_hdr>();
        let address = HEADER.next_multiple_of(libc::TPACKET_ALIGNMENT);
        let start = self.next;
        let within = |end: usize| (end <= BLOCK).then_some(end);
        within(start.checked_add(address)?.checked_add(mem::size_of::<libc::sockaddr_ll>())?)?;
        // SAFETY: the block is ours, and the header and the address behind it lie in it, as was just checked.
        let (header, from) = unsafe {
            let at = self.map.as_ptr().add(self.at * BLOCK + start);
            (
                at.cast::<libc::tpacket3_hdr>().read_unaligned(),
                at.add(address).cast::<libc::sockaddr_ll>().read_unaligned(),
            )
        };
        let frame = start.checked_add(usize::from(header.tp_mac))?;
        let length = header.tp_snaplen as usize;
        within(frame.checked_add(length)?)?;
        let offload = self.offload(frame, header.tp_status)?;
        let base = self.at * BLOCK;
        let mut span = (base + frame, length);
        let mut wire_len = header.tp_len.max(header.tp_snaplen);
        if header.tp_status & libc::TP_STATUS_VLAN_VALID != 0 && length >= ADDRESSES {
            // A kernel that does not tell the TPID took off 802.1Q (linux/if_packet.h).
            let is_told = header.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            let tpid = if is_told { header.hv1.tp_vlan_tpid } else { 0x8100 };
            self.put_back(frame, tpid, header.hv1.tp_vlan_tci as u16)?;
            span = (span.0 - TAG, length + TAG);
            wire_len = wire_len.saturating_add(TAG as u32);
        }
        self.next = start.checked_add(header.tp_next_offset as usize)?;
        if self.next + FETCHED <= BLOCK {
            // SAFETY: these bytes lie in the block, which is ours.
            prefetch(unsafe { &*self.map.as_ptr().add(base + self.next).cast::<[u8; FETCHED]>() });
        }
        Some(Head {
            time: Timestamp::from_parts(i64::from(header.tp_sec), i64::from(header.tp_nsec)),
            wire_len,
            packet_type: from.sll_pkttype,
            offload,
            span,
        })
    }

    /// What the kernel says about the frame at `frame`, from the virtio header before it.
    fn offload(&self, frame: usize, status: u32) -> Option<Offload> {
        let start = frame.checked_sub(VIRTIO)?;
        // SAFETY: the block is ours, and `frame`, which lies in it, has `VIRTIO` bytes before it.
        let told: [u8; VIRTIO] =
            unsafe { self.map.as_ptr().add(self.at * BLOCK + start).cast::<[u8; VIRTIO]>().read() };
        let [flags, segmented, _, _, low, high, ..] = told;
        // VIRTIO_NET_HDR_GSO_NONE is 0, VIRTIO_NET_HDR_F_NEEDS_CSUM is 1 (virtio 1.2 clause 5.1.6).
        Some(match segmented {
            0 if flags & 1 != 0 || status & libc::TP_STATUS_CSUMNOTREADY != 0 => Offload::Unsummed,
            0 => Offload::None,
            _ => Offload::Segmented { segment: u16::from_ne_bytes([low, high]) },
        })
    }

    /// Moves the addresses of the frame at `frame` four bytes ahead, and writes the tag behind them.
    fn put_back(&mut self, frame: usize, tpid: u16, tci: u16) -> Option<()> {
        let start = frame.checked_sub(TAG)?;
        let ([t0, t1], [c0, c1]) = (tpid.to_be_bytes(), tci.to_be_bytes());
        // SAFETY: the block is ours; the four bytes before the frame were reserved for this, and the frame has its addresses.
        unsafe {
            let to = self.map.as_ptr().add(self.at * BLOCK + start);
            ptr::copy(to.add(TAG), to, ADDRESSES);
            to.add(ADDRESSES).cast::<[u8; TAG]>().write_unaligned([t0, t1, c0, c1]);
        }
        Some(())
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `open` with this length, and no borrow of it outlives us.
        unsafe {
            libc::munmap(self.map.as_ptr().cast::<c_void>(), self.blocks * BLOCK);
        }
    }
}

/// Sets a socket option.
fn option<T>(socket: &OwnedFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of `value`, which is borrowed for as long.
    let set = unsafe {
        let length = mem::size_of::<T>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(value).cast(), length)
    };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has the kernel run `program` on each frame: what it returns is how many bytes are kept.
fn filter(socket: &OwnedFd, program: &[Instruction]) -> io::Result<()> {
    let mut code: Vec<libc::sock_filter> = program
        .iter()
        .map(|i| libc::sock_filter { code: i.code, jt: i.if_true, jf: i.if_false, k: i.operand })
        .collect();
    let length = u16::try_from(code.len()).map_err(|_| io::Error::other("the filter is too long"))?;
    let program = libc::sock_fprog { len: length, filter: code.as_mut_ptr() };
    // The kernel copies the program before the call returns, so `code` lives long enough.
    option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}
