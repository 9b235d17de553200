#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# DPDK's testpmd as a switch between two vhost-user ports ("io" forwarding: no lookup, no learning), on one
# core; two virtio-user ports on another core send back what they get. Prints the switch's own account, of the
# seconds between two looks: a line `packets CYCLES_BUSY PACKETS MHZ`, and those that the guests received:
# `received PACKETS`.
# Needs packages dpdk and dpdk-dev, and hugetlbfs on HUGE with 256 free pages of 2 MiB.
#
# usage: testpmd-vhost.sh FRAME SECONDS SWITCH_CORE GUEST_CORE HUGE BURST
set -eu
frame=$1 seconds=$2 switch=$3 guests=$4 huge=$5 burst=$6
folder=$(mktemp -d)
cleanup() {
	kill $(jobs -p) 2> /dev/null || true
	wait 2> /dev/null || true
	rm -rf "$folder"
	rm -f "$huge"/lasthop-*map_*
}
trap cleanup EXIT
common="--single-file-segments --no-pci -m 256 --log-level=3 --no-telemetry --huge-dir=$huge"
pools="--mbuf-size=10240 --total-num-mbufs=8192 --burst=$burst -i"

mkfifo "$folder/to-switch" "$folder/to-guests"
dpdk-testpmd --file-prefix=lasthop-switch $common -l "$switch,$guests" --main-lcore "$guests" \
	--vdev "net_vhost0,iface=$folder/s0" --vdev "net_vhost1,iface=$folder/s1" -- $pools \
	--nb-cores=1 --coremask="$(printf '0x%x' $((1 << switch)))" --forward-mode=io --auto-start \
	--record-core-cycles --record-burst-stats < "$folder/to-switch" > "$folder/switch.log" 2>&1 &
exec 3> "$folder/to-switch"
for try in $(seq 50); do
	[ -S "$folder/s1" ] && break
	sleep 0.2
done
sleep 1
dpdk-testpmd --file-prefix=lasthop-guests $common -l "$switch,$guests" --main-lcore "$switch" \
	--vdev "net_virtio_user0,path=$folder/s0,queue_size=1024,mac=02:00:00:00:00:01" \
	--vdev "net_virtio_user1,path=$folder/s1,queue_size=1024,mac=02:00:00:00:00:02" -- $pools \
	--nb-cores=1 --coremask="$(printf '0x%x' $((1 << guests)))" --max-pkt-len=9600 \
	< "$folder/to-guests" > "$folder/guests.log" 2>&1 &
exec 4> "$folder/to-guests"
sleep 3
printf 'set fwd io\nset txpkts %s\n' "$frame" >&4
# the first frames are lost while the ports find each other: more, until the rings hold enough
for try in 1 2 3; do
	printf 'start tx_first %s\n' $((512 / burst)) >&4
	sleep 0.5
	[ $try = 3 ] || printf 'stop\n' >&4
	sleep 0.1
done
sleep 0.5
printf 'clear port stats all\n' >&4
printf 'clear fwd stats all\n' >&3
sleep "$seconds"
printf 'show fwd stats all\n' >&3
printf 'show port stats all\nquit\n' >&4
sleep 0.5
printf 'quit\n' >&3
exec 3>&- 4>&-
wait
cp "$folder/switch.log" "${LOGS:-$folder}/" 2>/dev/null || true
cat "$folder/switch.log" "$folder/guests.log"
