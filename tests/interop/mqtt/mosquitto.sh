#!/usr/bin/env bash
# Checks of the simulator's MQTT head by the mosquitto clients. See README.md for what is in the environment.
set -uo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
topics=devices/edge/modules/peer

# check NAME COMMAND...: the command's success is the check's.
check() {
	local name=$1 why
	shift
	# A client that still listens when the check is over would be the next one's rival.
	if why=$(trap 'kill $(jobs -p) 2>/dev/null' EXIT; "$@" 2>&1); then
		printf 'ok   mosquitto: %s\n' "$name"
	else
		printf 'FAIL mosquitto: %s: %s\n' "$name" "$(tail -n 2 <<<"$why" | tr '\n' ' ')"
		failed=1
	fi
}

# client PROGRAM ARGUMENTS...: logged in as the module by token.
client() {
	local program=$1
	shift
	timeout 60 "$program" -V mqttv311 -h localhost -p "$HUB_MQTT_PORT" --cafile "$HUB_CA" -i edge/peer -u "$HUB_USER" \
		-P "${token-$HUB_TOKEN}" "$@"
}

# leaf PROGRAM ARGUMENTS...: the same as the leaf device.
leaf() {
	local program=$1
	shift
	timeout 60 "$program" -V mqttv311 -h localhost -p "$HUB_MQTT_PORT" --cafile "$HUB_CA" -i leaf -u "$HUB_LEAF_USER" \
		-P "$HUB_LEAF_TOKEN" "$@"
}

control() { curl -sSf -m 60 "$@"; }

# stored TEXT: a message that has reached the cloud has it.
stored() {
	local n
	for ((n = SECONDS; SECONDS < n + 60; )); do
		control "$HUB_CONTROL/messages?limit=100000&format=ndjson" | grep -F -- "$1" && return 0
		sleep 0.1
	done
	return 1
}

# subscribed TOPIC: the hub knows that the module listens.
subscribed() {
	local n
	for ((n = SECONDS; SECONDS < n + 60; )); do
		control "$HUB_CONTROL/stats" | /usr/bin/python3 -c '
import json, sys
sys.exit(not any(c["identity"] == "edge/peer" and c[sys.argv[1]] for c in json.load(sys.stdin)["clients"]))' "$1" && return 0
		sleep 0.1
	done
	return 1
}

publishes() {
	client mosquitto_pub -q "$1" -t "$topics/messages/events/%24.on=out&run=mosquitto-$1&a%20b=c%2Bd" -m "quality $1" &&
		stored "mosquitto-$1" | grep -F '"a b":"c+d"' | grep -F '"output":"out"'
}

refused() {
	local code=0
	token=SharedAccessSignature client mosquitto_pub -t "$topics/messages/events/" -m x >"$work/refused" 2>&1 || code=$?
	cat "$work/refused"
	[ "$code" = 5 ] && grep -qi 'not authorised' "$work/refused"
}

quality2() {
	client mosquitto_pub -q 1 -t "$topics/messages/events/" -m x && ! client mosquitto_pub -q 2 -t "$topics/messages/events/" -m x
}

version5() {
	client mosquitto_pub -q 1 -t "$topics/messages/events/" -m x &&
		! client mosquitto_pub -V mqttv5 -q 1 -t "$topics/messages/events/" -m x
}

swallowed() {
	client mosquitto_pub -q 1 -t "$topics/messages/event/run=lost" -m x &&
		client mosquitto_pub -q 1 -t "$topics/messages/events/run=lost&a=1=2" -m x &&
		client mosquitto_pub -q 1 -t "$topics/messages/events/run=behind" -m x && stored behind &&
		! control "$HUB_CONTROL/messages?limit=100000&format=ndjson" | grep -F '"lost"'
}

input() {
	client mosquitto_sub -q 1 -C 1 -F '%q %t %p' -t "$topics/inputs/#" >"$work/input" &
	local sub=$!
	subscribed inputs && control -o "$work/answer" -H 'Content-Type:' -d go "$HUB_CONTROL/inputs/peer/commands?a=b%20c" && wait "$sub" &&
		cat "$work/input" && [ "$(cat "$work/input")" = "1 $topics/inputs/commands/%24.cdid=edge&%24.cmid=simulator&a=b%20c go" ]
}

desired() {
	client mosquitto_sub -C 1 -F '%t %p' -t '$iothub/twin/PATCH/properties/desired/#' >"$work/desired" &
	local sub=$!
	subscribed desired && control -o "$work/answer" -X PATCH -d '{"properties":{"desired":{"interval":3}}}' \
		"$HUB_CONTROL/twins/edge/modules/peer" && wait "$sub" && cat "$work/desired" &&
		[ "$(cat "$work/desired")" = '$iothub/twin/PATCH/properties/desired/?$version=2 {"$version":2,"interval":3}' ]
}

# request TOPIC BODY RESULT: a twin request and the topic of its answer. The hub knows one filter for answers, which
# mosquitto_rr refuses to use: an earlier connection subscribes, and the session is kept.
request() {
	client mosquitto_sub -c -E -t '$iothub/twin/res/#' &&
		client mosquitto_rr -c -t "$1" -m "$2" -e "$3" -F '%t %p'
}

reported() {
	request '$iothub/twin/PATCH/properties/reported/?$rid=5' '{"state":"on"}' '$iothub/twin/res/204/?$rid=5' &&
		control "$HUB_CONTROL/twins/edge/modules/peer" | grep -F '"state":"on"'
}

twin() {
	request '$iothub/twin/GET/?$rid=6' ' ' '$iothub/twin/res/200/?$rid=6' | grep -F '$iothub/twin/res/200/?$rid=6 {"desired"'
}

leaf_publishes() {
	leaf mosquitto_pub -q 1 -t 'devices/leaf/messages/events/run=from-leaf' -m x && stored from-leaf | grep -F '"device":"leaf"'
}

# The session is kept, so that what comes while nobody is there waits for the device.
devicebound() {
	leaf mosquitto_sub -c -q 1 -E -t 'devices/leaf/messages/devicebound/#' &&
		control -o "$work/answer" -H 'Content-Type:' -d hello "$HUB_CONTROL/devices/leaf/messages/devicebound?a=b" &&
		leaf mosquitto_sub -c -q 1 -C 1 -F '%q %t %p' -t 'devices/leaf/messages/devicebound/#' >"$work/bound" &&
		cat "$work/bound" && grep -E '^1 devices/leaf/messages/devicebound/.*a=b hello$' "$work/bound"
}

certificate() {
	control --unix-socket "$HUB_WORKLOAD" -d '{}' -H 'Content-Type: application/json' \
		"http://workload/modules/peer/certificate/identity?api-version=2020-07-07" >"$work/identity" &&
		/usr/bin/python3 - "$work" <<-'END' &&
		import json, sys
		issued = json.load(open(sys.argv[1] + "/identity"))
		open(sys.argv[1] + "/cert.pem", "w").write(issued["certificate"])
		open(sys.argv[1] + "/key.pem", "w").write(issued["privateKey"]["bytes"])
		END
		timeout 60 mosquitto_pub -V mqttv311 -h localhost -p "$HUB_MQTT_PORT" --cafile "$HUB_CA" -i edge/peer -u "$HUB_USER" \
			--cert "$work/cert.pem" --key "$work/key.pem" -q 1 -t "$topics/messages/events/run=certificate" -m x &&
		stored certificate
}

check 'a publish of quality 0 is stored' publishes 0
check 'a publish of quality 1 is acknowledged and stored' publishes 1
check 'a bad token is refused with CONNACK 5' refused
check 'quality 2 ends the connection' quality2
check 'MQTT 5 is not spoken' version5
check 'what the hub cannot read is acknowledged and lost' swallowed
check 'a module input is delivered with its properties' input
check 'a desired patch is delivered with its version' desired
check 'a reported patch is answered 204 and reaches the cloud' reported
check 'the twin is answered' twin
check 'a leaf device publishes in its own name' leaf_publishes
check 'a leaf device gets what the cloud sent while it was away' devicebound
check 'an identity certificate of the workload API logs in' certificate
exit "$failed"
