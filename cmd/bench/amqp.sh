#!/usr/bin/env bash
# Loads brokers over AMQP 1.0, one after the other in turns, and prints a table
# of the medians: messages a second, the broker's processor time for each, and
# how long they took.
#
#   amqp.sh [scenario...]
#
# Scenarios are those of "entrepot bench list" that begin with a_; by default
# all. BROKERS says which take part (entrepot rabbitmq artemis activemq6;
# peers.sh install first), ROUNDS how often each (3), SECONDS_EACH how long (5).
# AMQP_DIR holds data and the figures of each run (./bench-amqp). ENTREPOT is the
# program, built if not given.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=$(realpath -m "${AMQP_DIR:-bench-amqp}")
read -ra brokers <<<"${BROKERS:-entrepot rabbitmq artemis}"
scenarios=("$@")
[[ ${#scenarios[@]} -gt 0 ]] || scenarios=(a_p_1k_w100 a_p_1k_w1000 a_0_16 a_0_1k a_lat_p_1000)
export PEERS_DIR=$dir/peers
mkdir -p "$dir"
program=${ENTREPOT:-$dir/entrepot}

declare -A address pid options=([rabbitmq]="--login guest --passcode guest --queue-prefix /queue/" [artemis]="--login peer --passcode peer")

start_entrepot() {
	local i
	"$program" serve --data-dir "$dir/data" --listen amqp://127.0.0.1:0 --console 127.0.0.1:0 >"$dir/banner" 2>"$dir/entrepot.log" &
	pid[entrepot]=$!
	for ((i = 0; i < 300; i++)); do
		address[entrepot]=$(sed -n 's|.*listeners=amqp://\([^ ,]*\).*|\1|p' "$dir/banner")
		[[ -z ${address[entrepot]} ]] || return 0
		sleep 0.1
	done
	tail -20 "$dir/entrepot.log" >&2
	return 1
}

start_peer() {
	local line
	line=$("$here/peers.sh" start "$1")
	pid[$1]=$(cut -d' ' -f3 <<<"$line")
	address[$1]=$(grep -o 'amqp=[^ ]*' <<<"$line" | cut -d= -f2)
}

# finish stops what was started and forgets its data.
finish() {
	[[ -z ${pid[entrepot]:-} ]] || kill "${pid[entrepot]}" 2>/dev/null || true
	wait
	"$here/peers.sh" clean
	rm -rf "$dir/data" "$dir/banner"
}

[[ -n ${ENTREPOT:-} ]] || (cd "$here" && go build -o "$program" ../entrepot)
trap finish EXIT
for broker in "${brokers[@]}"; do
	if [[ $broker == entrepot ]]; then start_entrepot; else start_peer "$broker"; fi
done
: >"$dir/figures"
for scenario in "${scenarios[@]}"; do
	for ((round = 0; round < ${ROUNDS:-3}; round++)); do
		for broker in "${brokers[@]}"; do
			# shellcheck disable=SC2086 # options are words
			"$program" bench --scenario "$scenario" --json --duration "${SECONDS_EACH:-5}s" --server "${address[$broker]}" \
				--pid "${pid[$broker]}" ${options[$broker]:-} | jq -c --arg broker "$broker" '. + {broker: $broker}' | tee -a "$dir/figures" |
				jq -r '"\(.scenario) \(.broker): \(.delivered_per_s)/s, \(.broker_cpu_us_per_message) us"' >&2
		done
	done
done
jq -rs 'def median: sort | .[length / 2 | floor];
	["scenario", "broker", "per s", "CPU us", "p50 us", "p99 us", "others CPU %"],
	(group_by([.scenario, .broker])[] | [.[0].scenario, .[0].broker, (map(.delivered_per_s) | median | floor),
		(map(.broker_cpu_us_per_message) | median), (map(.latency_us.p50) | median), (map(.latency_us.p99) | median),
		(map(.foreign_cpu_percent) | median)]) | @tsv' "$dir/figures" | column -t -s $'\t'
