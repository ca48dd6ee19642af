# The network and the words of stories about guests' addresses: a controller, and guests behind a compute node's bridge, VLAN 100 between. A
# line of `scenes` is the name of a scene; its changes are in NAME.changes, and what the review of its recording found in NAME.json.

. ./network.sh

made node controller guest other
joined controller eth0 node bond0
joined guest eth0 node tap0
joined other eth0 node tap1
ip -n node link add br100 type bridge forward_delay 0 mcast_snooping 0
ip -n node link set tap0 address fe:16:3e:4a:10:01 master br100 up
ip -n node link set tap1 address fe:16:3e:4a:10:02 master br100 up
ip -n guest link set eth0 address fa:16:3e:4a:10:01 up
ip -n other link set eth0 address fa:16:3e:4a:10:02 up
ip -n node link set bond0 up; ip -n controller link set eth0 up
ip -n node link add link bond0 name vlan100 type vlan id 100; ip -n node link set vlan100 master br100 up
ip -n node link set br100 up
ip -n controller link add link eth0 name vlan100 type vlan id 100; ip -n controller link set vlan100 up
ip -n controller addr add 10.0.100.1/24 dev vlan100
modprobe -d /tmp/modules sch_netem

asks() { # GUEST: a client that asks every two seconds; its process is $client
    ip netns exec "$1" udhcpc -f -i eth0 -s /mnt/story/lease.sh -t 60 -T 2 -A 2 >>"$1.log" 2>&1 & client=$!
}

has_address() { ip -n "$1" -4 addr show dev eth0 | grep -q "inet "; }
has_said() { grep -q "\"change\":\"$2\".*\"code\":\"$3\"" "$1.changes"; }

scene() { # NAME LINK…: from here on netdiag listens, on bond0 and these
    echo "$1" >>scenes; name=$1; shift
    ip netns exec node ./netdiag record bond0 "$@" -o "/tmp/$name" 2>"$name.rec.err" & recorder=$!
    ip netns exec node ./netdiag live bond0 "$@" --format ndjson --fail-on never >"$name.changes" 2>"$name.err" & netdiag=$!
    started "$name"; started "$name.rec"
}

curtain() {
    kill -INT $netdiag $recorder; wait $netdiag; wait $recorder
    ./netdiag review "/tmp/$name" --format json --fail-on never >"$name.json"
    kill $client 2>/dev/null && wait $client || true
    ip -n guest addr flush dev eth0; ip -n other addr flush dev eth0
}

