#!/usr/bin/env bash
# Groups of three nodes on loopback as peers of a comparison of replicated
# brokers: Debian's RabbitMQ (peers.sh installs it) and NATS.
#
#   peers-cluster.sh start rabbitmq     prints "rabbitmq STOMP-ADDRESS PID" for each node
#   peers-cluster.sh start nats         prints "nats ADDRESS PID"; needs nats-server in PATH or $NATS_SERVER
#   peers-cluster.sh stop  [rabbitmq|nats]
#   peers-cluster.sh clean              stop, and delete their data
#
# RabbitMQ: quorum queues sync each batch on a majority as they come. Use them with
#   entrepot bench --header x-queue-type:quorum --subscribe-header x-queue-type:quorum
# NATS: JetStream with sync_interval always, so that R3 streams sync before they
# confirm, which is not its default.
#
# PEERS_DIR holds configuration, data and logs (default: ./bench-peers).
# RABBITMQ_PORT and NATS_PORT are the first node's (63713, 64222); each further
# node is ten above.
set -euo pipefail

dir=$(realpath -m "${PEERS_DIR:-bench-peers}")
rabbitmq_port=${RABBITMQ_PORT:-63713}
nats_port=${NATS_PORT:-64222}
rabbitmq_bin=/usr/lib/rabbitmq/bin
export ERL_EPMD_PORT=${ERL_EPMD_PORT:-64379} ERL_EPMD_ADDRESS=127.0.0.1

listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# await NAME PORT: until it listens, or its process ends.
await() {
	local i pid
	for ((i = 0; i < 900; i++)); do
		if listens "$2" && [[ -s $dir/$1/pid ]]; then
			return
		fi
		pid=$(cat "$dir/$1/pid" 2>/dev/null || true)
		if [[ -n $pid ]] && ! kill -0 "$pid" 2>/dev/null; then
			break
		fi
		sleep 0.1
	done
	echo "$1 did not start; the end of $dir/$1/log:" >&2
	tail -20 "$dir/$1/log" >&2
	return 1
}

rabbitmqctl() {
	HOME=$dir/rabbitmq-home "$rabbitmq_bin/rabbitmqctl" --quiet -n "bench-group-$1@localhost" "${@:2}"
}

start_rabbitmq() {
	local i home port
	# The nodes have one home: the cookie there is the secret that they share.
	mkdir -p "$dir/rabbitmq-home"
	for i in 0 1 2; do
		home=$dir/rabbitmq-$i port=$((rabbitmq_port + 10 * i))
		mkdir -p "$home"
		echo '[rabbitmq_stomp].' >"$home/enabled_plugins"
		printf 'listeners.tcp = none\nstomp.listeners.tcp.1 = 127.0.0.1:%d\n' "$port" >"$home/rabbitmq.conf"
		HOME=$dir/rabbitmq-home RABBITMQ_NODENAME=bench-group-$i@localhost RABBITMQ_CONFIG_FILE=$home/rabbitmq.conf \
			RABBITMQ_MNESIA_BASE=$home/data RABBITMQ_LOG_BASE=$home/logs RABBITMQ_PID_FILE=$home/pid \
			RABBITMQ_ENABLED_PLUGINS_FILE=$home/enabled_plugins RABBITMQ_DIST_PORT=$((rabbitmq_port + 1000 + i)) \
			RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
			setsid "$rabbitmq_bin/rabbitmq-server" >"$home/log" 2>&1 </dev/null &
		await "rabbitmq-$i" "$port"
		if ((i > 0)); then
			rabbitmqctl $i stop_app
			rabbitmqctl $i join_cluster bench-group-0@localhost
			rabbitmqctl $i start_app
			await "rabbitmq-$i" "$port"
		fi
	done
	for i in 0 1 2; do
		echo "rabbitmq 127.0.0.1:$((rabbitmq_port + 10 * i)) $(cat "$dir/rabbitmq-$i/pid")"
	done
}

start_nats() {
	local i home port routes=
	for i in 0 1 2; do
		routes+="nats-route://127.0.0.1:$((nats_port + 1000 + 10 * i)),"
	done
	for i in 0 1 2; do
		home=$dir/nats-$i port=$((nats_port + 10 * i))
		mkdir -p "$home"
		cat >"$home/nats.conf" <<-CONF
			server_name: bench-$i
			listen: 127.0.0.1:$port
			jetstream { store_dir: "$home/data", sync_interval: always }
			cluster { name: bench, listen: 127.0.0.1:$((port + 1000)), routes: [${routes%,}] }
		CONF
		setsid "${NATS_SERVER:-nats-server}" -c "$home/nats.conf" >"$home/log" 2>&1 </dev/null &
		echo $! >"$home/pid"
	done
	for i in 0 1 2; do
		await "nats-$i" $((nats_port + 10 * i))
		echo "nats 127.0.0.1:$((nats_port + 10 * i)) $(cat "$dir/nats-$i/pid")"
	done
}

stop_one() {
	local pid i
	pid=$(cat "$dir/$1/pid" 2>/dev/null || true)
	[[ -n $pid ]] || return 0
	kill "$pid" 2>/dev/null || true
	for ((i = 0; i < 150; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -9 "$pid" 2>/dev/null || true
	rm -f "$dir/$1/pid"
}

stop_rabbitmq() {
	for i in 0 1 2; do stop_one "rabbitmq-$i"; done
	epmd -kill >/dev/null 2>&1 || true # ours: it has a port of its own
}

stop_nats() { for i in 0 1 2; do stop_one "nats-$i"; done; }

peers=("${@:2}")
[[ ${#peers[@]} -gt 0 ]] || peers=(rabbitmq nats)
for peer in "${peers[@]}"; do
	[[ $peer == rabbitmq || $peer == nats ]] || { echo "unknown peer $peer" >&2; exit 2; }
done

case ${1:-} in
start) for peer in "${peers[@]}"; do "start_$peer"; done ;;
stop) for peer in "${peers[@]}"; do "stop_$peer"; done ;;
clean)
	stop_rabbitmq
	stop_nats
	rm -rf "$dir"/rabbitmq-[012] "$dir"/rabbitmq-home "$dir"/nats-[012]
	rmdir "$dir" 2>/dev/null || true
	;;
*)
	sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
	exit 2
	;;
esac
