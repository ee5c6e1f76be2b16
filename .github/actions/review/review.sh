# Writes the report to the summary of the job, and to one comment of the pull request, which later
# runs edit. Fails if a service is invalid.
set -euo pipefail

options=(--base "$BASE")
for change in $WHAT_IF; do options+=(--what-if "$change"); done
if [ "$DIFF" = true ]; then options+=(--live); fi

report="$RUNNER_TEMP/review.md"
status=0
# Paths are separated by spaces.
# shellcheck disable=SC2086
python3 "$ACTION/report.py" "${options[@]}" -- $FILES >"$report" || status=$?
cat "$report" >>"$GITHUB_STEP_SUMMARY"
if [ "$COMMENT" = true ] && [ -n "$NUMBER" ]; then
    own='.[] | select(.body | startswith("<!-- fastapi-operator review -->")) | .id'
    path="repos/$GITHUB_REPOSITORY/issues"
    comment="$(gh api --paginate "$path/$NUMBER/comments" --jq "$own" | head -n 1)"
    if [ -n "$comment" ]; then
        gh api --silent --method PATCH "$path/comments/$comment" --field "body=@$report"
    else
        gh api --silent "$path/$NUMBER/comments" --field "body=@$report"
    fi
fi
exit "$status"
