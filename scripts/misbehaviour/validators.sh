# What others make of a validator that cheats: sourced by scripts/misbehave-demo.

# play_validators KIND: mallory, who leads the first height, misbehaves in this way; the other three hold a poll.
play_validators() {
    local kind=$1 name validators=() poll question mallory
    network=$work/$kind
    mkdir -p "$network"
    printf '\n== %s: mallory %s\n' "$kind" "$(listed | sed -n "s/^$kind //p")"
    for name in $NAMES; do
        "$conclave" --home "$network/$name" init --validator "$name" >/dev/null
        validators+=(--validator "$name=$("$conclave" key show "$network/$name/keys/validator.key")")
    done
    "$conclave" genesis new --name "$kind" --delta-ms "$delta" "${validators[@]}" -o "$network/genesis.toml" >/dev/null
    for name in $HONEST; do start_node "$name"; done
    start_node mallory --misbehave "$kind" --i-know-this-is-an-attack
    mallory=$(peer_id mallory)
    for name in $HONEST; do
        await is_ready "$name" || fail "$name does not see enough of the others" "$network/$name/log"
        await_briefly sees_mallory "$name"
    done

    question="Lunch with $kind?"
    poll=$(at anna poll create "$question" Soup Bread --electorate validators | grep -o '[0-9a-f]\{64\}' | head -n 1) || {
        broken=$((broken + 1))
        printf -- '-- NO POLL: anna could not open one within %s s\n' "$PATIENCE"
        stop_nodes
        return
    }
    for name in $HONEST; do at "$name" poll cast "$poll" Soup >/dev/null || :; done
    # Turns go round once, so that mallory has led, and what was seen of it can be decided.
    for name in ben cleo anna; do at "$name" tx record "a note of $name" >/dev/null || :; done
    at anna poll close "$poll" >/dev/null || :
    await are_level || {
        broken=$((broken + 1))
        printf -- '-- NOT AT ONE HEIGHT: anna %s, ben %s, cleo %s\n' "$(height anna)" "$(height ben)" "$(height cleo)"
    }
    stop_line=$(height anna)

    printf -- '-- decided by anna: '
    at anna blocks list --limit 100 | awk 'NR > 1' | sort -n | sed 's/\([0-9a-f]\{8\}\)[0-9a-f]\{56\}/\1…/g' |
        awk '{ line = ($0 ~ /skip/) ? "skip" : "block"; printf "%s%s", (NR > 1 ? ", " : ""), line } END { print " (" NR " heights)" }'
    at anna poll tally "$poll" | sed 's/^/   /' || :
    printf -- '-- seen: %s times a second signature by one validator, %s disconnections, %s halts\n' \
        "$(count 'signed against itself')" "$(count 'a peer is gone')" "$(count 'cannot close')"
    printf -- '-- blamed on mallory:\n'
    blame "$mallory" | sed 's/^/   /'
    printf -- '-- recorded against mallory: %s\n' \
        "$(at anna validators | sed -n 's/^ *[0-9]* *mallory *[0-9a-f]* *//p' | grep . || echo nothing)"

    for name in $HONEST; do
        at "$name" export --out "$network/$name.chain" >/dev/null && "$conclave" verify "$network/$name.chain" --genesis "$network/genesis.toml" >"$network/$name.verified" 2>&1 || {
            broken=$((broken + 1))
            printf -- '-- NOT GOOD: the export of %s\n' "$name"
            [ ! -e "$network/$name.verified" ] || sed 's/^/   /' "$network/$name.verified"
        }
    done
    if cmp -s "$network/anna.verified" "$network/ben.verified" && cmp -s "$network/anna.verified" "$network/cleo.verified"; then
        printf -- '-- checked offline: the three tell the same, %s heights; %s\n' "$stop_line" "$(head -n 1 "$network/anna.verified")"
    else
        broken=$((broken + 1))
        printf -- '-- NOT THE SAME: what anna, ben and cleo export\n'
    fi
    stop_nodes
}
