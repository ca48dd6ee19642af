# The life of a guest's address, with real daemons: a server on the controller, guests behind a compute node's bridge, VLAN 100 between. Each
# scene breaks one thing, waits until netdiag says so, mends it, and waits until it says that it is over. A line of `scenes` is the
# name of a scene; its changes are in NAME.changes.

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

serves() { # RANGE
    ip netns exec controller dnsmasq --no-daemon --conf-file=/dev/null --port=0 --bind-interfaces --interface=vlan100 --no-ping \
        --dhcp-range="$1,120" --dhcp-leasefile=/tmp/leases --user=root >>dnsmasq.log 2>&1 & server=$!
}

asks() { # GUEST: a client that asks every two seconds; its process is $client
    ip netns exec "$1" udhcpc -f -i eth0 -s /mnt/story/lease.sh -t 60 -T 2 -A 2 >>"$1.log" 2>&1 & client=$!
}

has_address() { ip -n "$1" -4 addr show dev eth0 | grep -q "inet "; }
has_said() { grep -q "\"change\":\"$2\".*\"code\":\"$3\"" "$1.changes"; }

scene() { # NAME: from here on netdiag listens
    echo "$1" >>scenes; name=$1
    ip netns exec node ./netdiag live bond0 --format ndjson --fail-on never >"$name.changes" 2>"$name.err" & netdiag=$!
    started "$name"
}

curtain() {
    kill -INT $netdiag; wait $netdiag
    kill $client 2>/dev/null && wait $client || true
    ip -n guest addr flush dev eth0; ip -n other addr flush dev eth0
}

# A guest boots, renews, and renews again.
serves 10.0.100.10,10.0.100.20
scene healthy
asks guest; until_true 20 has_address guest
kill -USR1 $client; sleep 2; kill -USR1 $client; sleep 3
curtain

# The server dies; a guest that boots hears nothing. The server comes back.
kill $server; wait $server || true
scene server-dead
asks other; until_true 60 has_said $name opened DHCP001
serves 10.0.100.10,10.0.100.20
until_true 60 has_said $name resolved DHCP001
curtain

# What the server answers is lost on the way into the guest, behind where netdiag listens.
tc_lost() { ip netns exec node tc qdisc "$1" dev tap0 root netem loss 100%; }
tc_lost add
scene offers-lost
asks guest; until_true 60 has_said $name opened DHCP002
tc_lost del
until_true 60 has_said $name resolved DHCP002
curtain

# The same while a guest renews: the server answers, and the guest asks as if it had heard nothing.
asks guest; until_true 20 has_address guest
scene renewals-ignored
ip -n guest link set eth0 up
tc_lost add
for i in 1 2 3 4 5 6; do kill -USR1 $client; sleep 2; done
tc_lost del
kill -USR1 $client; sleep 3
curtain

kill $server; wait $server || true
