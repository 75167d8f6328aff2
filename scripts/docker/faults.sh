# shellcheck shell=bash disable=SC2154
# For scripts/chaos: the network beyond compose.yaml, the load, the faults, and what is checked of them.

# What compose.yaml lacks: further validators, and a network for each validator and its submitter alone, so that a
# validator's own clients reach it wherever it is moved, and validators do not reach each other that way.
more_nodes() {
    local node
    printf 'services:\n  homes:\n'
    printf '    command: ["testnet", "--out", "/network", "--validators", "%s", "--observers", "1", "--owner", "65532:65532"]\n' "$nodes"
    if [ "$nodes" -gt 4 ]; then
        printf '    volumes:\n'
        for node in "${VALIDATORS[@]:4}"; do printf '      - %s:/network/%s\n' "$node" "$node"; done
    fi
    for node in "${VALIDATORS[@]:0:4}"; do printf '  %s:\n    networks: [conclave, near-%s]\n' "$node" "$node"; done
    for node in "${VALIDATORS[@]:4}"; do
        cat <<END
  $node:
    image: \${CONCLAVE_IMAGE:-conclave:local}
    networks: [conclave, near-$node]
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    depends_on:
      homes:
        condition: service_completed_successfully
    restart: unless-stopped
    healthcheck:
      test: ["CMD", "/usr/local/bin/conclave", "status", "--ready"]
      interval: 3s
      timeout: 5s
      retries: 2
      start_period: 30s
    volumes: ["$node:$HOME_INSIDE"]
END
    done
    printf 'networks:\n'
    for node in "${VALIDATORS[@]}"; do printf '  near-%s:\n    internal: true\n' "$node"; done
    if [ "$nodes" -gt 4 ]; then
        printf 'volumes:\n'
        for node in "${VALIDATORS[@]:4}"; do printf '  %s:\n' "$node"; done
    fi
}

# --- Load ---------------------------------------------------------------------------------------------------------

# Records through one validator, from beside it, for longer than faults are made.
submit_through() {
    local name=submitter-${1#validator-}
    # Not in $( ): what beside notes for the end is to stay.
    beside "$name" "${project}_near-$1" "$1" --detach --volume "$work/receipts.d:/receipts" "$CONCLAVE_IMAGE" \
        load --api "http://$1:7780" --rate "$rate" --seconds 604800 --patience "$PATIENCE" --receipts "/receipts/$1" \
        >"$work/$name"
    container[$name]=$(cat "$work/$name")
}

# They stop sending, wait for what they have sent, and say what became of it.
submitters_end() {
    local name
    for node in "${VALIDATORS[@]}"; do docker kill --signal TERM "${container[submitter-${node#validator-}]}" >/dev/null; done
    for node in "${VALIDATORS[@]}"; do
        name=submitter-${node#validator-}
        [ "$(docker wait "${container[$name]}")" = 0 ] ||
            fail "a submitter of $node has no answer for what it sent" "$(docker logs "${container[$name]}" 2>&1)"
        docker logs "${container[$name]}" 2>&1 | tr '\n' ';' | sed "s/^/   $node: /;s/;/; /g;s/; \$/\n/"
    done
}

# --- Faults -------------------------------------------------------------------------------------------------------

# Which of tc's disciplines slows what a container sends.
find_out_how_to_slow() {
    kinds=(kill stop pause cut)
    slow_by=
    if [ "$(id -u)" != 0 ] || ! command -v tc >/dev/null || ! command -v nsenter >/dev/null; then
        printf '\n!! NOT SLOWED: nothing is delayed in this run, because that needs root, tc and nsenter.\n\n' >&2
        return
    fi
    if unshare --net tc qdisc add dev lo root netem delay 1ms 2>/dev/null; then
        slow_by=netem
    elif unshare --net tc qdisc add dev lo root tbf rate 64kbit burst 8kb latency 1s 2>/dev/null; then
        slow_by=tbf
        printf '\n!! NO NETEM: this kernel cannot delay packets (CONFIG_NET_SCH_NETEM). Instead of a delay, slowed nodes get a line\n!! of 64 kbit/s with a queue of two seconds (tbf): what they send is late, and lost where the queue is full.\n\n' >&2
    else
        printf '\n!! NOT SLOWED: nothing is delayed in this run, because this kernel has neither netem nor tbf.\n\n' >&2
        return
    fi
    kinds+=(slow)
}

# The end of a container's link to the others, as (process, interface).
link_of() {
    local process address interface
    process=$(docker inspect --format '{{.State.Pid}}' "${container[$1]}")
    address=$(docker inspect --format "{{(index .NetworkSettings.Networks \"$network\").IPAddress}}" "${container[$1]}")
    interface=$(nsenter --target "$process" --net ip -oneline address | awk -v at="$address/" 'index($4, at) == 1 { print $2 }')
    printf '%s %s\n' "$process" "$interface"
}

slow() {
    local process interface
    read -r process interface < <(link_of "$1")
    case $slow_by in
    netem) nsenter --target "$process" --net tc qdisc add dev "$interface" root netem delay 400ms 300ms loss 2% ;;
    tbf) nsenter --target "$process" --net tc qdisc add dev "$interface" root tbf rate 64kbit burst 4kb latency 2s ;;
    esac
}

restore_speed() {
    local process interface
    read -r process interface < <(link_of "$1")
    nsenter --target "$process" --net tc qdisc del dev "$interface" root
}

make_fault() {
    case $2 in
    kill) docker kill "${container[$1]}" ;;
    stop) docker stop --time 20 "${container[$1]}" ;;
    pause) docker pause "${container[$1]}" ;;
    cut) cut_off "$1" ;;
    slow) slow "$1" ;;
    esac >/dev/null
}

mend_fault() {
    case $2 in
    kill | stop) docker start "${container[$1]}" ;;
    pause) docker unpause "${container[$1]}" ;;
    cut) join_again "$1" ;;
    slow) restore_speed "$1" ;;
    esac >/dev/null
}

# --- Rounds -------------------------------------------------------------------------------------------------------

rounds=0
beyond=0

# between LEAST MOST: a number, by the seed, in $drawn. (Not printed: a subshell would draw from a generator of its own.)
between() { drawn=$(($1 + RANDOM % ($2 - $1 + 1))); }

# Victims and what is done to each, by the seed: in `victims`, `fault[…]`, and the rest in `others`.
draw() {
    local left=("${VALIDATORS[@]}") choice=("${kinds[@]}")
    between 1 4
    is_beyond=no
    if [ "$drawn" -eq 1 ]; then
        # Neither those who are left nor those who are cut off together are a quorum.
        is_beyond=yes
        between $((faulty + 1)) $((quorum - 1))
        choice=(kill stop pause cut)
    else
        between 1 "$faulty"
    fi
    local number=$drawn
    victims=()
    for ((; number > 0; number--)); do
        between 0 $((${#left[@]} - 1))
        victims+=("${left[$drawn]}")
        left=("${left[@]:0:$drawn}" "${left[@]:$((drawn + 1))}")
        between 0 $((${#choice[@]} - 1))
        fault[${victims[-1]}]=${choice[$drawn]}
    done
    others=("${left[@]}")
    between 2 12
    hold=$drawn
    between 1 4
    is_hasty=$([ "$drawn" -eq 1 ] && echo yes || echo no)
}
declare -A fault

a_round() {
    local since description='' before halted
    draw
    rounds=$((rounds + 1))
    for node in "${victims[@]}"; do description+=" ${fault[$node]} $node,"; done
    since=$(date +%s)
    for node in "${victims[@]}"; do make_fault "$node" "${fault[$node]}"; done
    if [ "$is_beyond" = yes ]; then
        beyond=$((beyond + 1))
        for node in "${others[@]}"; do await "$node halts" says_it_is_halted "$node" "$since"; done
        halted=$(heights "${others[@]}")
        sleep "$hold"
        [ "$(heights "${others[@]}")" = "$halted" ] ||
            fail "decided without a quorum: ${others[*]} were at $halted, and are at $(heights "${others[@]}")"
        say "round $rounds:${description%,}: the others halted at $halted, and decided nothing"
    else
        before=$(highest "${others[@]}")
        for node in "${others[@]}"; do await "$node goes on" is_at_least "$node" "$((before + 3))"; done
        sleep "$hold"
        say "round $rounds:${description%,}: the others went on from $before to $(highest "${others[@]}")"
    fi
    for node in "${victims[@]}"; do mend_fault "$node" "${fault[$node]}"; done
    # Mostly the next fault waits until nobody is behind any more.
    if [ "$is_beyond" = yes ] || [ "$is_hasty" = no ]; then
        before=$(highest "${others[@]}")
        for node in "${VALIDATORS[@]}"; do await "$node goes on" is_at_least "$node" "$((before + 1))"; done
        for node in "${VALIDATORS[@]}"; do await "$node is ready" is_ready "$node"; done
    fi
    # An export that is too old for what is acknowledged later.
    [ "$rounds" -ne 1 ] || client --api "http://${others[0]}:7780" export --out "$HOME_INSIDE/old.chain" >/dev/null
}

heights() { for node in "$@"; do field "$node" height; done | tr '\n' ' ' | sed 's/ $//'; }
highest() { for node in "$@"; do field "$node" height; done | sort -n | tail -n 1; }

# --- The check ----------------------------------------------------------------------------------------------------

# verify EXPORT FILE…: in a container without a network, with these files of receipts.
verify() {
    local export=$1
    shift
    docker run --rm --network none --volume "${project}_client:$HOME_INSIDE:ro" --volume "$work/receipts.d:/receipts:ro" \
        "$CONCLAVE_IMAGE" verify "$HOME_INSIDE/$export" --receipts "$@"
}

check_everything() {
    local node receipts=("${VALIDATORS[@]/#//receipts/}") first=${VALIDATORS[0]} line
    for node in "${VALIDATORS[@]}" observer-1; do
        client --api "http://$node:7780" export --out "$HOME_INSIDE/$node.chain" >/dev/null || fail "$node exports nothing"
        verify "$node.chain" "${receipts[@]}" >"$work/$node.verified" ||
            fail "what $node exports does not hold what was acknowledged"
        cmp -s "$work/$first.verified" "$work/$node.verified" || fail "$first and $node tell different chains"
    done
    printf '   %s receipts were kept; the export of each of %s nodes was checked by itself:\n' \
        "$(cat "$work"/receipts.d/* | wc -l)" "$((nodes + 1))"
    sed 's/^/   /' "$work/$first.verified"
    say "each acknowledged record is in the exports of all, once, at the same place"

    line=$(head -n 1 "$work/receipts.d/$first")
    sed 's/"id":"......../"id":"00000000/' <<<"$line" >"$work/receipts.d/never"
    sed 's/"index":[0-9]*/"index":4000/' <<<"$line" >"$work/receipts.d/elsewhere"
    refused "$first.chain" /receipts/never "is not in the archive"
    refused "$first.chain" /receipts/elsewhere "was acknowledged as number 4000"
    refused old.chain "/receipts/$first" "is not in the archive"
    say "the check refuses a receipt of what never was, one of another place, and an export that lacks what was acknowledged"
}

# refused EXPORT RECEIPTS WHY: the check does not accept this.
refused() {
    if verify "$1" "$2" >"$work/refused" 2>&1; then fail "the check accepts $2 for $1"; fi
    grep -q "$3" "$work/refused" || fail "the check refuses $2 for $1 for another reason" "$(cat "$work/refused")"
}
