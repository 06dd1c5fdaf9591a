"""One valid policy and edits of it, for the tests of policy."""

VALID = """\
apiVersion: lastack.dev/v1alpha1
kind: RemediationPolicy
metadata: {name: api}
spec:
  mode: enforce
  target:
    systemd: {units: ["api@*.service"]}
    ports: [8080]
  probe: {http: {path: /health}, expect: 200-399, timeout: 3s}
  sampleEvery: 5s
  triggers:
    - {name: stalled, diagnosis: [accept-stall, fd-leak], sustainedFor: 30s}
    - {name: dropping, signal: listen.dropRate, raiseAbove: 0.05/s, clearBelow: 0.01/s}
  stages:
    - {name: evidence, action: threadDump, with: {count: 3, every: 5s}}
    - name: tune
      action: sysctl
      when: {diagnosis: [backlog-too-small]}
      with: {scope: host, values: {net.core.somaxconn: "4096"}}
      restore: {after: 7d}
    - {name: replace, action: rollingRestart, with: {readyWithin: 2m}}
  limits: {cooldown: 30m, restarts: {max: 3, per: 24h}, minAvailable: 1}
"""


def edited(*edits: tuple[str, str], text: str = VALID) -> str:
    """The text with each first occurrence of an old part replaced by a new one, which must be there."""
    for old, new in edits:
        assert old in text, f"{old!r} is not in the policy: the edit means nothing"
        text = text.replace(old, new, 1)
    return text
