#!/bin/sh
# The first process inside the kernel: mounts, modules, then the story that the command line names. FOLDER and STORY come from there.
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
mount -t proc proc /proc; mount -t sysfs sys /sys
# Seen from here on through a mount of its own: /tmp below is fresh, and the folder may lie in it.
mount -t tmpfs tmpfs /mnt; mkdir /mnt/story; mount -t hostfs none -o "$FOLDER" /mnt/story
for d in /run /tmp /root; do mount -t tmpfs tmpfs $d; done
mkdir -p /run/netns
mkdir -p /tmp/modules/lib; ln -s /usr/lib/uml/modules /tmp/modules/lib/modules
for module in 8021q bonding veth bridge tun nf_tables; do modprobe -d /tmp/modules $module; done
ip link set lo up
cd /mnt/story || exit 1
sh -eu "./$STORY" && touch done
sync
echo o > /proc/sysrq-trigger
sleep 5
