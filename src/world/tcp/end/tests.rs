//! What follows from the numbers of one end.

use super::super::holes::OUT_OF_ORDER;
use super::*;

const NOW: Timestamp = Timestamp::from_parts(1_000, 0);

/// Data of `len` bytes from `seq` on.
fn data(seq: u32, len: u32) -> Numbers {
    Numbers { seq, end: seq.wrapping_add(len), payload: len, ..Numbers::default() }
}

fn syn(seq: u32) -> Numbers {
    Numbers { seq, end: seq.wrapping_add(1), is_syn: true, ..Numbers::default() }
}

fn ack(ack: u32) -> Numbers {
    Numbers { ack: Some(ack), ..Numbers::default() }
}

/// Sends in packets with 40 bytes of headers, at `NOW`: whether it was sent before.
fn is_again(end: &mut End, seq: u32, len: u32) -> bool {
    end.sends(&data(seq, len), len + 40, true, NOW).is_again
}

mod repeats {
    use super::*;

    #[test]
    fn what_was_sent_before_comes_again() {
        let mut end = End::default();
        let sends = [(100, 10), (110, 10), (110, 10), (105, 30), (135, 5), (139, 1), (139, 2)];
        let told = sends.map(|(seq, payload)| is_again(&mut end, seq, payload));
        assert_eq!(told, [false, false, true, true, false, false, true]);
    }

    #[test]
    fn numbers_wrap_and_ports_are_used_again() {
        let mut end = End::default();
        assert!(!is_again(&mut end, u32::MAX - 4, 10));
        assert_eq!((is_again(&mut end, 5, 10), is_again(&mut end, u32::MAX - 4, 10)), (false, true));
        assert!(!is_again(&mut end, 1 << 30, 10));
        assert!(!end.sends(&syn(77), 60, true, NOW).is_again);
        assert!(!is_again(&mut end, 78, 10));
    }

    #[test]
    fn what_was_acknowledged_before_it_was_captured_is_not_sent_again() {
        let mut end = End::default();
        is_again(&mut end, 100, 10);
        end.acknowledged(&ack(120), true, NOW);
        assert!(!is_again(&mut end, 110, 10));
    }
}

mod sizes {
    use super::*;

    #[test]
    fn the_largest_packet_that_arrived_is_known() {
        let mut end = End::default();
        is_again(&mut end, 0, 100);
        is_again(&mut end, 100, 1_460);
        is_again(&mut end, 1_560, 100);
        assert_eq!((end.acknowledged(&ack(100), true, NOW).arrived, end.largest()), (None, 0));
        assert_eq!(end.acknowledged(&ack(1_560), true, NOW).arrived, Some(1_500));
        assert_eq!((end.largest(), end.seconds_since(NOW)), (1_500, 0));
    }

    #[test]
    fn what_was_sent_twice_proves_no_size() {
        let mut end = End::default();
        is_again(&mut end, 0, 1_460);
        assert!(is_again(&mut end, 0, 500));
        assert_eq!((end.acknowledged(&ack(1_460), true, NOW).arrived, end.largest()), (None, 0));
    }

    #[test]
    fn an_end_is_one_cache_line() {
        assert_eq!(size_of::<End>(), 64);
    }
}

mod hearing {
    use super::*;

    /// Whether a probe, or a repeat, at that many milliseconds is owed an answer that has not come.
    fn waits(end: &mut End, tcp: &Numbers, millis: i64) -> bool {
        end.sends(tcp, 100, true, NOW.after(Span::millis(millis))).waits_since.is_some()
    }

    #[test]
    fn an_answer_is_owed_by_who_answered_before_and_after_a_second() {
        let mut end = End::default();
        assert!(!waits(&mut end, &data(100, 10), 0));
        assert!(!waits(&mut end, &data(100, 10), 5_000), "nobody was ever heard to answer");
        assert!(end.acknowledged(&ack(110), true, NOW.after(Span::millis(5_010))).is_proof);
        assert!(!waits(&mut end, &data(110, 10), 6_000));
        assert!(!waits(&mut end, &data(110, 10), 6_900));
        assert!(waits(&mut end, &data(110, 10), 7_000));
    }

    #[test]
    fn a_keepalive_waits_and_its_answer_is_a_proof() {
        let mut end = End::default();
        waits(&mut end, &data(100, 10), 0);
        end.acknowledged(&ack(110), true, NOW);
        assert!(!end.acknowledged(&ack(110), true, NOW).is_proof, "said once more unasked");
        assert!(!waits(&mut end, &data(109, 1), 10_000));
        assert!(end.acknowledged(&ack(110), true, NOW.after(Span::millis(10_001))).is_proof);
        assert!(!waits(&mut end, &data(109, 1), 20_000));
        assert!(waits(&mut end, &data(109, 1), 21_000));
    }

    #[test]
    fn that_there_is_still_no_room_is_an_answer() {
        let mut end = End::default();
        waits(&mut end, &data(100, 10), 0);
        end.acknowledged(&ack(110), true, NOW);
        // The first byte that waits, again and again; what says only that it has not arrived may have been sent before.
        waits(&mut end, &data(110, 1), 1_000);
        assert!(!end.acknowledged(&ack(110), true, NOW.after(Span::millis(1_001))).is_proof);
        let full = Numbers { is_full: true, ..ack(110) };
        assert!(waits(&mut end, &data(110, 1), 3_000));
        assert!(end.acknowledged(&full, true, NOW.after(Span::millis(3_001))).is_proof);
        assert!(!end.acknowledged(&full, false, NOW.after(Span::millis(3_002))).is_proof);
    }

    #[test]
    fn what_was_sent_unseen_does_not_make_what_follows_wait() {
        let mut end = End::default();
        waits(&mut end, &data(100, 10), 0);
        end.acknowledged(&ack(110), true, NOW);
        // A bare acknowledgement says that ten bytes lie between.
        waits(&mut end, &data(120, 0), 10_000);
        assert!(!waits(&mut end, &data(120, 10), 10_001));
        assert!(!waits(&mut end, &data(120, 10), 10_300));
    }
}

mod unseen {
    use super::*;

    /// `S(seq, len)`: the end sent; `A(ack)`: the other end acknowledged.
    #[derive(Clone, Copy)]
    enum Step {
        S(u32, u32),
        A(u32),
    }
    use Step::{A, S};

    /// How often somebody had to wait, and for how many acknowledgements and bytes in the end.
    fn holes(steps: &[Step]) -> (usize, u32, u32) {
        let (mut end, mut waits) = (End::default(), 0);
        for step in steps {
            match step {
                S(seq, len) => {
                    end.sends(&data(*seq, *len), *len, true, NOW);
                }
                A(number) => waits += usize::from(end.acknowledged(&ack(*number), true, NOW).is_unseen),
            }
        }
        assert_eq!(end.overdue(NOW), None);
        let missing = end.overdue(NOW.after(OUT_OF_ORDER));
        (waits, missing.map_or(0, |m| m.acknowledgements), missing.map_or(0, |m| m.bytes))
    }

    const NONE: (usize, u32, u32) = (0, 0, 0);

    #[test]
    fn data_that_is_acknowledged_and_not_there_is_a_hole() {
        assert_eq!(holes(&[S(100, 10), A(110), A(150)]), (1, 1, 40));
        assert_eq!(holes(&[S(100, 10), A(110), S(120, 10), A(110), A(130)]), (1, 1, 10));
        assert_eq!(holes(&[S(100, 10), A(110), A(150), A(150), S(150, 10), A(160)]), (1, 1, 40));
        // A burst is one wait, and each acknowledgement counts.
        assert_eq!(holes(&[S(100, 10), A(110), A(130), A(150), A(170)]), (1, 3, 60));
    }

    #[test]
    fn data_that_comes_late_or_again_fills_it() {
        assert_eq!(holes(&[S(100, 10), A(110), A(120), S(110, 10)]), (1, 0, 0));
        assert_eq!(holes(&[S(100, 10), A(110), S(120, 10), S(110, 10), A(130)]), NONE);
        assert_eq!(holes(&[S(100, 10), A(110), S(130, 10), S(110, 10), S(120, 5), A(140)]), (1, 1, 5));
        // The middle first, then the rest in any order.
        assert_eq!(holes(&[S(100, 10), A(110), A(140), S(120, 10), S(130, 10), S(110, 10)]), (1, 0, 0));
        assert_eq!(holes(&[S(100, 10), A(110), A(140), S(120, 10)]), (1, 2, 20));
    }

    #[test]
    fn a_capture_that_begins_in_mid_connection_or_shows_one_direction_says_nothing() {
        assert_eq!(holes(&[A(150), A(300)]), NONE);
        // The first segment seen is an old one, sent again.
        assert_eq!(holes(&[S(100, 10), A(300), S(300, 10), A(310)]), NONE);
        // Only the handshake and the end were kept.
        assert_eq!(holes(&[S(100, 0), A(100), S(5_000, 0), A(5_001)]), NONE);
    }

    #[test]
    fn keepalives_and_wrapped_numbers_are_ordinary_and_strange_ones_are_not_believed() {
        assert_eq!(holes(&[S(100, 10), A(110), S(109, 1), A(110), A(111)]), NONE);
        assert_eq!(holes(&[S(u32::MAX - 4, 10), A(5), S(5, 10), A(15)]), NONE);
        assert_eq!(holes(&[S(u32::MAX - 14, 10), A(u32::MAX - 4), A(5)]), (1, 1, 10));
        assert_eq!(holes(&[S(100, 10), A(110), A(1 << 25), S(110, 10), A(120)]), NONE);
        assert_eq!(holes(&[S(100, 10), A(110), S(1 << 30, 10), A((1 << 30) + 20)]), NONE);
    }

    #[test]
    fn another_connection_on_the_same_ports_begins_anew() {
        let mut end = End::default();
        is_again(&mut end, 100, 10);
        end.acknowledged(&ack(110), true, NOW);
        end.sends(&syn(100_000), 60, true, NOW);
        assert!(!end.acknowledged(&ack(100_001), true, NOW).is_unseen);
        assert!(!end.acknowledged(&ack(100_500), true, NOW).is_unseen, "no data of the new one was seen");
    }

    #[test]
    fn what_nobody_can_count_leaves_no_hole() {
        let mut end = End::default();
        is_again(&mut end, 100, 10);
        end.acknowledged(&ack(110), true, NOW);
        end.sends(&data(110, 10), 50, false, NOW);
        assert!(!end.acknowledged(&ack(5_000), true, NOW).is_unseen);
    }
}
