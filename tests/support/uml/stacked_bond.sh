# A compute node whose VLAN 100 is stacked on VLAN 20, on a bond; a guest behind it that talks to a controller. Then the repair: the stacked
# devices are deleted and made anew on the bond. And once more with the healthy plumbing from the start.

. ./network.sh

# compute: bond0 over eth0 and eth1; switch: a bridge that knows VLANs 20 and 100; controller; guest behind br100.
made compute switch controller guest
joined compute eth0 switch swp1
joined compute eth1 switch swp2
joined controller eth0 switch swp3
joined guest eth0 compute tap0
ip -n switch link add sw0 type bridge vlan_filtering 1 mcast_snooping 0 forward_delay 0
for port in swp1 swp2 swp3; do
    ip -n switch link set $port master sw0 up
    for vid in 20 100; do ip netns exec switch bridge vlan add dev $port vid $vid; done
done
ip -n switch link set sw0 up
ip -n compute link add bond0 type bond mode active-backup miimon 100
for member in eth0 eth1; do
    ip -n compute link set $member down; ip -n compute link set $member master bond0; ip -n compute link set $member up
done
ip -n compute link set bond0 up
ip -n compute link add br100 type bridge forward_delay 0 mcast_snooping 0
ip -n compute link set tap0 address fe:16:3e:4a:10:01 master br100 up
ip -n compute link set br100 up
ip -n guest link set eth0 address fa:16:3e:4a:10:01 up
ip -n guest addr add 10.0.100.11/24 dev eth0
ip -n controller link set eth0 up

stacked() {
    for place in "compute bond0" "controller eth0"; do
        set -- $place
        ip -n "$1" link add link "$2" name vlan20 type vlan id 20; ip -n "$1" link set vlan20 up
        ip -n "$1" link add link vlan20 name vlan100 type vlan id 100; ip -n "$1" link set vlan100 up
    done
    joined_up
}

single() {
    for place in "compute bond0" "controller eth0"; do
        set -- $place
        ip -n "$1" link add link "$2" name vlan100 type vlan id 100; ip -n "$1" link set vlan100 up
    done
    joined_up
}

joined_up() {
    ip -n compute link set vlan100 master br100
    ip -n controller addr add 10.0.100.1/24 dev vlan100
    ip netns exec controller ./talk serve 10.0.100.1:7000 & server=$!
    # Bonds, bridges and addresses take a moment after they are made.
    until_true 20 ip netns exec guest ./talk reach 10.0.100.1:7000
}

torn() {
    kill $server
    for place in compute controller; do
        ip -n $place link del vlan100; ip -n $place link del vlan20 2>/dev/null || true
    done
}

heard() { # BACKEND SUFFIX
    ip netns exec compute ./netdiag live bond0 --backend "$1" --format json --fail-on never >"$1$2.json" 2>"$1$2.err" &
    eval "$1=\$!"
    started "$1$2"
}

recorded() { # FOLDER LINK…: bond0, and these
    ip netns exec compute ./netdiag record bond0 ${2:-} ${3:-} -o "$1" 2>"$1.err" &
    eval "$1=\$!"
    started "$1"
}

# What happened on that day, and its repair.
stacked
heard ring ""; heard pcap ""
recorded bond0; recorded everywhere eth0 tap0
if ip netns exec guest ./talk talk 10.0.100.1:7000 8; then echo "the large packets came through: that was not the incident"; exit 1; fi
torn
single
ip netns exec guest ./talk talk 10.0.100.1:7000 8 || { echo "the repair did not help"; exit 1; }
sleep 3
kill -INT $ring $pcap $bond0 $everywhere; wait $ring; wait $pcap; wait $bond0; wait $everywhere
torn
./netdiag review bond0 --format json --fail-on never >review.json
./netdiag path everywhere --format json --flow 'tcp port 7000' >path.json

# The healthy twin.
single
heard ring .healthy; heard pcap .healthy
ip netns exec guest ./talk talk 10.0.100.1:7000 8 || { echo "the healthy network is not"; exit 1; }
sleep 1
kill -INT $ring $pcap; wait $ring; wait $pcap
