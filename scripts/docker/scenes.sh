# shellcheck shell=bash disable=SC2154
# For scripts/docker-demo: the scenes. Each leaves a whole network of healthy nodes behind.

scene_poll() {
    scene "poll: an election with 143 voters, cast through four containers"
    local result
    result=$(client poll import /examples/debian-logo.soi) || fail "the election failed" "$result"
    printf '%s\n' "$result" | sed -n '/^opened/p;/^every/,/^8 /s/^/   /p'
    for line in 'every ballot is decided: 143 of 143' '^1  *Swirl  *43$' '^2  *DV  *36$' '^8  *Seal  *1$'; do
        printf '%s\n' "$result" | matches "$line" || fail "the election does not say $line" "$result"
    done
    await "all nodes have it" are_one "${VALIDATORS[@]}" observer-1
    for node in validator-4 observer-1; do
        client --api "http://$node:7780" export --out "$HOME_INSIDE/$node.chain" >/dev/null || fail "$node exports nothing"
        offline verify "$HOME_INSIDE/$node.chain" >"$work/$node.verified" || fail "what $node exports does not hold"
    done
    cmp -s "$work/validator-4.verified" "$work/observer-1.verified" || fail "validator-4 and observer-1 tell different chains"
    sed 's/^/   /' "$work/observer-1.verified"
    say "validator-4 and observer-1 export the same chain, and a container without a network finds every rule kept"
}

scene_kill() {
    scene "kill: a validator is killed in the middle of things"
    docker kill "${container[validator-3]}" >/dev/null
    say "validator-3 is killed; the others decide without it"
    for text in one two three; do record validator-1 "while validator-3 is dead: $text"; done
    docker start "${container[validator-3]}" >/dev/null
    await "validator-3 is back" is_ready validator-3
    await "validator-3 has everything" are_one "${VALIDATORS[@]}" observer-1
    record validator-3 "I am back."
    await "all nodes have it" are_one "${VALIDATORS[@]}" observer-1
    say "validator-3 is back, has everything, and takes part"
}

scene_partition() {
    scene "partition, 2+2: no side has a quorum"
    local before since
    since=$(date +%s)
    before=$(field validator-1 height)
    cut_off validator-3 validator-4
    record_later validator-1 "from the near side"
    record_later validator-4 "from the far side"
    all_are_halted "$before" "$since" "${VALIDATORS[@]}"
    for node in "${VALIDATORS[@]}"; do
        at "$node" status --ready 2>&1 | sed "s/^/   $node: /" || :
        await "Docker sees it" is_unhealthy "$node"
    done
    say "both sides halt, say so in status, metric and log, and are unhealthy to Docker"
    join_again validator-3 validator-4
    all_go_on
    say "joined again, they decide what waited on both sides, and all have it"

    scene "partition, 2+2 with a crash on top: one, two, and a dead one"
    since=$(date +%s)
    before=$(field validator-1 height)
    cut_off validator-3 validator-4
    docker kill "${container[validator-2]}" >/dev/null
    record_later validator-1 "alone on the near side"
    record_later validator-3 "two on the far side"
    all_are_halted "$before" "$since" validator-1 validator-3 validator-4
    docker start "${container[validator-2]}" >/dev/null
    # Who has just started has no clock of its own for the open height, and so does not call it halted.
    await "validator-2 says that it sees no quorum" says_it_is_alone validator-2
    for node in "${VALIDATORS[@]}"; do
        [ "$(field "$node" height)" = "$before" ] || fail "$node has decided something without a quorum"
    done
    say "three halt, and the one that crashed says that it sees no quorum when it is back on its side"
    join_again validator-3 validator-4
    all_go_on
    say "joined again, they go on"

    scene "partition, 3+1: three are a quorum"
    since=$(date +%s)
    cut_off validator-4
    record_later validator-4 "alone on the far side"
    for text in one two three; do record validator-1 "without validator-4: $text"; done
    await "validator-4 halts" says_it_is_halted validator-4 "$since"
    at validator-4 status --ready 2>&1 | sed 's/^/   validator-4: /' || :
    say "the three go on, and the one halts"

    scene "partition, 3+1 with a crash on top: two are no quorum"
    since=$(date +%s)
    docker kill "${container[validator-2]}" >/dev/null
    before=$(field validator-1 height)
    record_later validator-1 "two are left"
    all_are_halted "$before" "$since" validator-1 validator-3
    docker start "${container[validator-2]}" >/dev/null
    await "three decide again" is_at_least validator-1 "$((before + 1))"
    is_halted validator-4 || fail "validator-4, which is cut off, is not halted"
    say "two halt, and go on when the third is back, while the one that is cut off still waits"
    join_again validator-4
    all_go_on
    say "validator-4 is back, and has everything"
    nothing_is_lost "${VALIDATORS[@]}" observer-1
    for node in "${VALIDATORS[@]}" observer-1; do await "$node is healthy" is_healthy "$node"; done
    say "what was acknowledged before, during and after each cut is in the exports of all, once and in one order"
}

says_it_is_alone() {
    # The command fails, which is what is asked for; what counts is why.
    { at "$1" status --ready 2>&1 || :; } | matches 'connected to 1 other validators, 2 are needed for a quorum'
}

# all_are_halted HEIGHT SINCE NODE…: they say so, and have decided nothing since that height.
all_are_halted() {
    local height=$1 since=$2
    shift 2
    for node in "$@"; do await "$node halts" says_it_is_halted "$node" "$since"; done
    for node in "$@"; do
        [ "$(field "$node" height)" = "$height" ] || fail "$node has decided something without a quorum"
    done
}

# What waited is decided, and everybody is ready and has it.
all_go_on() {
    records_are_decided
    for node in "${VALIDATORS[@]}"; do await "$node is ready" is_ready "$node"; done
    await "all nodes are one" decided_all
}

# Nothing waits anywhere, and all nodes are one.
decided_all() {
    for node in "${VALIDATORS[@]}"; do ! has_pending "$node" || return 1; done
    are_one "${VALIDATORS[@]}" observer-1
}

scene_validator() {
    scene "validator: a fifth joins by governance"
    local key id
    newcomer validator-5 CONCLAVE_LOG=info --validator validator-5
    key=$(sed -n 's/^validator validator-5, public key //p' "$work/validator-5.init")
    await "validator-5 has the chain" are_one validator-1 validator-5
    say "a fifth container follows the chain; its key is $key"

    id=$(at validator-1 --output json governance propose add-validator validator-5 "$key" | sed -n 's/^ *"id": "\(.*\)",$/\1/p')
    for node in validator-2 validator-3; do at "$node" governance approve "$id" >/dev/null; done
    at validator-4 governance list | sed 's/^/   /'
    # A change is valid two heights after the approval that made the quorum.
    for text in one two; do record validator-1 "on the way to the new set: $text"; done
    await "validator-5 is a validator" is_validator
    at validator-5 validators | sed 's/^/   /'
    await "validator-5 is ready" is_ready validator-5

    docker kill "${container[validator-4]}" >/dev/null
    record validator-5 "Signed by the fifth, decided without the fourth."
    at validator-5 blocks show "$(field validator-5 height)" | sed 's/^/   /'
    at validator-5 blocks show "$(field validator-5 height)" | matches validator-5 || fail "validator-5 has not signed"
    docker start "${container[validator-4]}" >/dev/null
    await "all five are one" are_one "${VALIDATORS[@]}" validator-5 observer-1
    say "five validators: the fifth signs, and four of them decide without another"
}

is_validator() { at validator-5 validators 2>/dev/null | matches ' validator-5 .*connected'; }

scene_spammer() {
    scene "spammer: a stranger that does not work for its place"
    local peer
    # It does the work of 1 bit and at most 4 more; the validators ask for 24.
    newcomer spammer CONCLAVE_ADMISSION_BITS=1
    peer=$(sed -n 's/^peer id //p' "$work/spammer.init")
    for node in "${VALIDATORS[@]}"; do await "$node refuses it" logs "$node" "a peer is not admitted.*$peer"; done
    await "it is told why" logs spammer "not admitted by a peer"
    docker logs "${container[validator-1]}" 2>&1 | grep "not admitted.*$peer" | head -n 1 | sed 's/^/   validator-1: /'
    docker logs "${container[spammer]}" 2>&1 | grep "not admitted" | head -n 1 | sed 's/^/   spammer:     /'
    record validator-1 "while a stranger knocks"
    for node in "${VALIDATORS[@]}"; do await "$node has no place for it" is_no_peer "$node" "$peer"; done
    at validator-1 peers | cut -c 1-100 | sed 's/^/   /'
    is_peer_of_one observer-1 || fail "the observer that did its work is not among the validators' peers"
    say "the stranger is kept out, and the observer, which did its work, stays"
}

logs() { docker logs "${container[$1]}" 2>&1 | matches "$2"; }
is_no_peer() { ! at "$1" peers | matches "$2"; }
is_peer_of_one() {
    local peer
    peer=$(field "$1" peer_id)
    for node in "${VALIDATORS[@]}"; do ! at "$node" peers | matches "$peer" || return 0; done
    return 1
}

scene_flood() {
    scene "flood: connections, transactions and announcements without end"
    local targets=("${VALIDATORS[@]/%/:7700}") flooder ids id what
    submit before 15
    # From a network of its own: whoever shares a block of addresses with a flooder shares its bounds.
    docker network create --internal "$elsewhere" >/dev/null
    for node in "${VALIDATORS[@]}"; do docker network connect --alias "$node" "$elsewhere" "${container[$node]}"; done
    # One core, because a flooder on a machine of its own takes no time from the nodes but by what it sends.
    beside flooder "$elsewhere" client --detach --cpus 1 "$flood_image" --genesis "$HOME_INSIDE/genesis.toml" --seconds 35 "${targets[@]}" \
        >"$work/flooder"
    flooder=$(cat "$work/flooder")
    container[flooder]=$flooder
    await "all identities have done the work for their places, and the flood begins" has_begun "$flooder"
    submit meanwhile 30
    [ "$(docker wait "$flooder")" = 0 ] || fail "the flood broke off" "$(docker logs "$flooder" 2>&1 | tail -n 20)"
    docker logs "$flooder" >"$work/flood" 2>/dev/null
    submit after 10
    sed 's/^/   flooder: /' "$work/flood" | grep -E '"(node|made|ended|sent|entered|thrown_out|kept_out)"|it ' | sed 's/,$//'
    ! grep -q '"kept_out": false' "$work/flood" || fail "the flooder was not kept out in the end" "$(cat "$work/flood")"
    for what in unstamped forged announcements; do
        sed -n "/\"$what\"/,/}/p" "$work/flood" | matches '"thrown_out": [1-9]' || fail "nobody was thrown out for $what" "$(cat "$work/flood")"
    done
    ids=$(sed -n 's/^ *"peer_id": "\(.*\)",$/\1/p' "$work/flood")
    for node in "${VALIDATORS[@]}"; do
        for id in $ids; do await "$node has no place for $id" is_no_peer "$node" "$id"; done
        printf '   %s denied %s connections and gave out %s penalties\n' "$node" \
            "$(measured "$node" conclave_connections_denied_total)" "$(measured "$node" conclave_penalties_total)"
    done
    docker logs "${container[validator-1]}" 2>&1 | grep -F "$(head -n 1 <<<"$ids")" | tail -n 2 | sed 's/^/   validator-1: /'
    is_peer_of_one observer-1 || fail "the observer that did its work has lost its place"
    for moment in before meanwhile after; do
        printf '   records %-9s: %s\n' "$moment" "$(tr -d '\n {}"' <"$work/load-$moment")"
    done
    awk -v before="$(number median_ms <"$work/load-before")" -v meanwhile="$(number median_ms <"$work/load-meanwhile")" \
        'BEGIN { printf "   honest records were %.1f times slower (median %.1f ms, before %.1f ms)\n", meanwhile / before, meanwhile, before }'
    await "all nodes are one" are_one "${VALIDATORS[@]}" observer-1
    say "the flooder is kept out, the observer is not, and every honest record was decided"
}

has_begun() { docker logs "$1" 2>&1 | matches -F 'the flood begins'; }

# submit MOMENT SECONDS: honest records through a validator that is flooded; what they took is in $work/load-MOMENT.
submit() {
    beside "submitter-$1" "$network" validator-1 --rm "$CONCLAVE_IMAGE" --output json --api http://validator-1:7780 \
        load --rate 20 --seconds "$2" >"$work/load-$1" || fail "honest records are not decided"
    say "records for $2 seconds: $1"
}
