#!/usr/bin/env bash
# Compares Entrepot with other MQTT brokers: Debian's Mosquitto, NATS and mochi,
# which Go builds outside this repository. Round by round all of them run the
# same scenario, one after the other; the table has the medians.
#
#   peers-mqtt.sh install
#   peers-mqtt.sh compare [scenario...]    by default all rows of MQTT
#   peers-mqtt.sh clean                    delete data and results
#
# ROUNDS (3) and DURATION (5s) are of each scenario; PEERS ("mosquitto nats
# mochi") are run beside entrepot. ENTREPOT is its executable (default: built
# from this tree). PEERS_DIR holds configuration, data, logs and results.jsonl
# (default: ./bench-peers-mqtt); the ports are PEERS_PORT (61883) and the next
# three, on loopback only.
set -euo pipefail

here=$(realpath "$(dirname "$0")/../..")
dir=$(realpath -m "${PEERS_DIR:-bench-peers-mqtt}")
first=${PEERS_PORT:-61883}
built=${XDG_CACHE_HOME:-$HOME/.cache}/entrepot-peers/mqtt
read -ra peers <<<"${PEERS-mosquitto nats mochi}"
nats_version=v2.15.0
mochi_version=v2.7.9
declare -A port=([entrepot]=$first [mosquitto]=$((first + 1)) [nats]=$((first + 2)) [mochi]=$((first + 3)))
declare -A started=()

install() {
	command -v mosquitto >/dev/null || [[ -x /usr/sbin/mosquitto ]] || {
		apt-get update
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends mosquitto
	}
	mkdir -p "$built/nats" "$built/mochi"
	[[ -x $built/nats/nats-server ]] || (cd / && GOFLAGS=-mod=mod GOBIN=$built/nats go install "github.com/nats-io/nats-server/v2@$nats_version")
	[[ -x $built/mochi/cmd ]] || (cd / && GOFLAGS=-mod=mod GOBIN=$built/mochi go install "github.com/mochi-mqtt/server/v2/cmd@$mochi_version")
}

listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# launch NAME COMMAND...: until it listens on its port, or has ended.
launch() {
	local name=$1 i
	listens "${port[$name]}" && { echo "something listens on 127.0.0.1:${port[$name]} already" >&2; exit 1; }
	"${@:2}" >"$dir/$name/log" 2>&1 </dev/null &
	started[$name]=$!
	for ((i = 0; i < 300; i++)); do
		listens "${port[$name]}" && return
		kill -0 "${started[$name]}" 2>/dev/null || break
		sleep 0.1
	done
	echo "$name did not start; the end of $dir/$name/log:" >&2
	tail -20 "$dir/$name/log" >&2
	exit 1
}

start() {
	local name=$1 home=$dir/$1
	rm -rf "$home"
	mkdir -p "$home/data"
	case $name in
	entrepot)
		launch entrepot "$entrepot" serve --data-dir "$home/data" --console 127.0.0.1:0 --listen "mqtt://127.0.0.1:${port[entrepot]}?maximumConnections=20000"
		;;
	mosquitto)
		cat >"$home/conf" <<-EOF
			listener ${port[mosquitto]} 127.0.0.1
			allow_anonymous true
			max_queued_messages 0
			max_inflight_messages 0
			persistence true
			persistence_location $home/data/
			user root
		EOF
		launch mosquitto "$(command -v mosquitto || echo /usr/sbin/mosquitto)" -c "$home/conf"
		;;
	nats)
		cat >"$home/conf" <<-EOF
			server_name: bench
			listen: 127.0.0.1:-1
			jetstream { store_dir: "$home/data" }
			mqtt { listen: "127.0.0.1:${port[nats]}" }
		EOF
		launch nats "$built/nats/nats-server" -c "$home/conf"
		;;
	mochi) launch mochi "$built/mochi/cmd" -tcp "127.0.0.1:${port[mochi]}" -ws 127.0.0.1:0 -info 127.0.0.1:0 ;;
	*) echo "unknown peer $name" >&2; exit 2 ;;
	esac
}

stop() {
	local name
	for name in "${!started[@]}"; do
		kill "${started[$name]}" 2>/dev/null || true
		wait "${started[$name]}" 2>/dev/null || true
	done
	started=()
}

compare() {
	local round scenario name
	entrepot=${ENTREPOT:-}
	mkdir -p "$dir"
	if [[ -z $entrepot ]]; then
		entrepot=$dir/entrepot-program
		(cd "$here" && go build -o "$entrepot" ./cmd/entrepot)
	fi
	trap stop EXIT
	: >"$dir/results.jsonl"
	for name in entrepot "${peers[@]}"; do start "$name"; done
	for scenario in "$@"; do
		for ((round = 0; round < ${ROUNDS:-3}; round++)); do
			for name in entrepot "${peers[@]}"; do
				"$entrepot" bench --scenario "$scenario" --json --duration "${DURATION:-5s}" \
					--server "127.0.0.1:${port[$name]}" --pid "${started[$name]}" 2>"$dir/error" |
					sed "s/^{/{\"peer\":\"$name\",/" >>"$dir/results.jsonl" ||
					echo "{\"peer\":\"$name\",\"scenario\":\"$scenario\",\"failed\":true}" >>"$dir/results.jsonl"
			done
		done
	done
	stop
	report
}

# report prints a line for each scenario and peer.
report() {
	python3 - "$dir/results.jsonl" <<-'EOF'
		import json, statistics, sys

		rows = {}
		for line in open(sys.argv[1]):
		    r = json.loads(line)
		    rows.setdefault((r["scenario"], r["peer"]), []).append(r)
		print(f"{'scenario':14} {'peer':10} {'runs':>4} {'delivered/s':>12} {'CPU us/msg':>10} {'foreign %':>9}  more")
		for (scenario, peer), runs in rows.items():
		    good = [r for r in runs if not r.get("failed")]
		    def median(value, form):
		        values = [v for v in (value(r) for r in good) if v is not None]
		        return format(statistics.median(values), form) if values else "-"
		    more = []
		    if any(r.get("rate") for r in good):
		        more += [f"{q} {median(lambda r: r['latency_us'][q], '.0f')} us" for q in ("p50", "p99", "p999")]
		    for part in ("connections", "retained"):
		        if any(r.get(part) for r in good):
		            more += [f"{k} {median(lambda r: r[part][k], '.2f')}" for k in good[0][part]]
		    if len(good) < len(runs):
		        more.append(f"{len(runs) - len(good)} runs failed")
		    print(f"{scenario:14} {peer:10} {len(good):4} {median(lambda r: r.get('delivered_per_s'), '12,.0f'):>12}"
		          f" {median(lambda r: r.get('broker_cpu_us_per_message'), '.2f'):>10} {median(lambda r: r.get('foreign_cpu_percent'), '.0f'):>9}  {', '.join(more)}")
	EOF
}

rows=(q0_16 q0_1k q0_fan100 q0_in100 q1_16 q1_1k q1_1k_10x10 q1_1k_stored q2_16 q0_lat q1_lat q_retained q_idle)
case ${1:-} in
install) install ;;
compare)
	[[ $# -gt 1 ]] || set -- compare "${rows[@]}"
	compare "${@:2}"
	;;
clean) rm -rf "${dir:?}" ;;
*)
	sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
	exit 2
	;;
esac
