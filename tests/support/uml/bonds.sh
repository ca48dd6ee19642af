# Bonds of a node. One is active-backup: its operator moves it over by hand, and later the active member's cable is pulled. The other speaks LACP to
# a switch whose group is static, until that is mended. A line of `scenes` is the name of a scene; its changes are in NAME.changes.

. ./network.sh

made node lone switch static controller
joined node eth0 switch swp1
joined node eth1 switch swp2
joined controller eth0 switch swp3
joined lone eth0 static swp1
joined lone eth1 static swp2

# Every frame of the second switch floods to its group: that one sends something is enough here.
grouped static po1 balance-xor swp1 swp2
grouped lone bond0 "802.3ad lacp_rate fast" eth0 eth1
ip -n static addr add 10.0.200.1/24 dev po1
ip -n lone addr add 10.0.200.2/24 dev bond0

ip -n switch link add sw0 address 0c:bd:67:00:00:01 type bridge stp_state 1 forward_delay 200 mcast_snooping 0
for port in swp1 swp2 swp3; do ip -n switch link set $port master sw0 up; done
ip -n switch link set sw0 up
grouped node bond0 active-backup eth0 eth1
ip -n node addr add 10.0.100.2/24 dev bond0
ip -n controller link set eth0 up; ip -n controller addr add 10.0.100.1/24 dev eth0
ip netns exec controller ./talk serve 10.0.100.1:7000 & server=$!
until_true 30 ip netns exec node ./talk reach 10.0.100.1:7000
while :; do ip netns exec node ./talk reach 10.0.100.1:7000 || true; sleep 0.2; done & asker=$!

listens() { # NAMESPACE NAME
    echo "$2" >>scenes
    ip netns exec "$1" ./netdiag live bond0 --members --ring 4M --format ndjson --fail-on never >"$2.changes" 2>"$2.err" & listener=$!
    started "$2"
}
has_said() { grep -q "\"change\":\"$2\".*\"code\":\"$3\"" "$1.changes"; }

listens lone absent; lone=$listener

listens node by-hand
sleep 8
ip -n node link set bond0 type bond active_slave eth1
sleep 6
ip -n node link set eth1 down
sleep 6
ip -n node link set eth1 up
sleep 6
kill -INT $listener; wait $listener

listens node pulled
ip -n node link set bond0 type bond active_slave eth0
sleep 8
ip -n switch link set swp1 down
until_true 20 has_said pulled opened HOST005
sleep 6
ip -n switch link set swp1 up
until_true 20 has_said pulled resolved HOST005
kill -INT $listener; wait $listener

# It takes three LACPDUs at the slow rate, and a little, until it can be said that nobody answers.
until_true 120 has_said absent opened LACP003
ip -n static link del po1; ip -n static link set swp1 down; ip -n static link set swp2 down
until_true 20 has_said absent opened HOST005
grouped static po1 "802.3ad lacp_rate fast" swp1 swp2
until_true 30 has_said absent resolved LACP003
sleep 2
kill -INT $lone; wait $lone
kill $server $asker
