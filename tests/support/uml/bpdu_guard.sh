# A guest's bridge speaks spanning tree behind a compute node whose bond is one LACP group of a switch with BPDU guard: the switch's own bridge
# shuts the port (the kernel's guard), and a loop beside it takes the links down, as a switch does. Then the guest is put right and the ports
# are opened again. A line of `scenes` is the name of a scene; its changes are in NAME.changes, its report in NAME.json.

. ./network.sh

made node switch controller guest other
joined node eth0 switch swp1
joined node eth1 switch swp2
joined controller eth0 switch swp3
guest guest node tap0 fa:16:3e:4a:10:00
guest other node tap1 fa:16:3e:4a:10:01

# The switch takes part in spanning tree, on the trunk as well. Nobody has set a priority: the guest's bridge, whose address is less, would win.
ip -n switch link add sw0 address fc:bd:67:00:00:01 type bridge stp_state 1 forward_delay 200 mcast_snooping 0
grouped switch po1 "802.3ad lacp_rate fast" swp1 swp2
grouped node bond0 "802.3ad lacp_rate fast" eth0 eth1
ip -n switch link set po1 master sw0; ip -n switch link set swp3 master sw0 up; ip -n switch link set sw0 up
ip netns exec switch bridge link set dev po1 guard on
ip -n node link add br100 type bridge forward_delay 0 mcast_snooping 0
for port in tap0 tap1 bond0; do ip -n node link set $port master br100; done
ip -n node link set br100 up
ip -n node addr add 10.0.100.2/24 dev br100
ip -n controller link set eth0 up; ip -n controller addr add 10.0.100.1/24 dev eth0
ip -n other addr add 10.0.100.12/24 dev eth0
# The guest's own bridge, as an image or its user makes it; not yet with spanning tree.
ip -n guest link add br0 type bridge forward_delay 200 mcast_snooping 0
ip -n guest link set eth0 master br0; ip -n guest link set br0 up; ip -n guest addr add 10.0.100.11/24 dev br0

ip netns exec controller ./talk serve 10.0.100.1:7000 & server=$!
reaches() { # NAMESPACE: one connection after another
    while :; do ip netns exec "$1" ./talk reach 10.0.100.1:7000 || true; sleep 0.2; done
}
until_true 30 ip netns exec guest ./talk reach 10.0.100.1:7000
for asker in guest other node; do reaches $asker & askers="${askers:-} $!"; done

scene() { # NAME: from here on netdiag listens
    echo "$1" >>scenes; name=$1
    echo 'stp.resolve_s = 10' >settings.toml
    ip netns exec node ./netdiag live bond0 --members --ring 4M --settings settings.toml --format ndjson --fail-on never >"$name.changes" 2>"$name.err" & netdiag=$!
    started "$name"
    ip netns exec node ./netdiag live bond0 tap0 tap1 --members --ring 4M --settings settings.toml --format json --fail-on never >"$name.json" 2>"$name.taps.err" & taps=$!
    started "$name.taps"
}
curtain() { kill -INT $netdiag $taps; wait $netdiag; wait $taps; }
has_said() { grep -q "\"change\":\"$1\".*\"code\":\"$2\"" "$name.changes"; }

# The switch's BPDUs are heard, and flooded to the guests; LACP is fast.
scene healthy
sleep 10
curtain

# A filter stands at the guests' ports, as the page of STP001 has it, when the guest's user switches spanning tree on.
ip netns exec node ./netdiag explain STP001 --remedy nft >remedy.nft
ip netns exec node nft -f remedy.nft
scene filtered
ip -n guest link set br0 type bridge stp_state 1
sleep 6
curtain
ip -n guest link set br0 type bridge stp_state 0
ip netns exec node nft delete table bridge netdiag

# And without it.
rm -f shut
# What looks at the port's state starts next to nothing to do so: it acts as fast as a switch on a busy machine, too.
guard() {
    ip netns exec switch sh -c '
        state=/sys/class/net/po1/brport/state
        until read is <$state && [ "$is" = 0 ]; do sleep 0.1; done
        printf "link set swp1 down\nlink set swp2 down\n" | ip -batch -'
    touch shut
}
scene guard
sleep 12
guard & guard=$!
ip -n guest link set br0 type bridge stp_state 1
until_true 20 has_said opened STP001
until_true 20 test -e shut
until_true 60 has_said opened HOST003
sleep 10
# It is stopped in the guest, and the ports are opened.
ip -n guest link set br0 type bridge stp_state 0
ip netns exec switch bridge link set dev po1 guard off
ip -n switch link set swp1 up; ip -n switch link set swp2 up
until_true 60 ip netns exec other ./talk reach 10.0.100.1:7000
until_true 60 has_said resolved 'STP001",.*"severity":"critical'
until_true 60 has_said resolved STP003
sleep 4
curtain

# One member's port leaves the group of the switch, and comes back.
scene member
sleep 12
ip -n switch link set swp2 nomaster; ip -n switch link set swp2 up
until_true 30 has_said opened LACP001
ip -n switch link set swp2 down
until_true 20 has_said opened HOST005
ip -n switch link set swp2 master po1; ip -n switch link set swp2 up
until_true 20 has_said resolved HOST005
until_true 60 has_said resolved LACP001
curtain

# Its operator takes a member out, and brings it back.
scene operator
sleep 12
ip -n node link set eth1 down
sleep 12
ip -n node link set eth1 up
sleep 12
curtain
kill $server $askers $plugs
