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

guest() { # NAMESPACE NAMESPACE TAP ADDRESS: the guest's eth0, plugged into the host's tap, which bears its address with fe in front
    ./plug "$3" "of-$3" & plugs="${plugs:-} $!"
    until_true 5 ip link show "of-$3"
    ip link set "$3" netns "$2"; ip link set "of-$3" netns "$1" name eth0
    ip -n "$2" link set "$3" address "fe${4#fa}" up; ip -n "$1" link set eth0 address "$4" up
}

grouped() { # NAMESPACE BOND MODE MEMBER…
    at=$1; bond=$2; mode=$3; shift 3
    ip -n "$at" link add "$bond" type bond mode $mode miimon 100
    for member; do
        ip -n "$at" link set "$member" down; ip -n "$at" link set "$member" master "$bond"; ip -n "$at" link set "$member" up
    done
    ip -n "$at" link set "$bond" up
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
