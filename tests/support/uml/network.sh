# Words of every story. Each link is as a network card without offloads: frames on it are wire frames, and one past the MTU is dropped
# where it arrives.

made() { # NAMESPACE…
    for n; do
        ip netns add "$n"; ip -n "$n" link set lo up
    done
}

joined() { # NAMESPACE LINK NAMESPACE LINK
    ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
    for end in "$1 $2" "$3 $4"; do
        set -- $end
        ip netns exec "$1" ethtool -K "$2" tso off gso off gro off tx off rxvlan off txvlan off sg off >/dev/null 2>&1 || true
    done
}

started() { # NAME: waits until the netdiag whose standard error is NAME.err captures
    while ! grep -q "capturing on" "$1.err"; do sleep 0.1; done
}

until_true() { # SECONDS COMMAND…: asks each quarter of a second
    most=$(($1 * 4)); shift
    while ! "$@"; do
        most=$((most - 1)); [ $most -gt 0 ] || { echo "waited in vain for: $*"; return 1; }
        sleep 0.25
    done
}
