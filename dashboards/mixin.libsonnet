// Generated from alerts/rules.yml and the dashboards by `make dashboards`.
//
// A mixin: alerts, recording rules and dashboards with parameters. README.md says how to use it.
{
  _config+:: {
    // Matchers that are added to every selector of a metric, such as 'cluster="a"'.
    selector: '',
    // The job of the exporter's scrape configuration.
    job: 'openstack-images',
    // The folder with the runbooks. It ends with a slash.
    runbookURL: 'https://example.com/openstack-image-exporter/dashboards/runbooks/',
    // How urgent each alert is.
    severities: {
      "OpenStackImageGone": "critical",
      "OpenStackImageMassDisappearance": "critical",
      "OpenStackImageNotActive": "critical",
      "OpenStackImageDeactivated": "critical",
      "OpenStackImageStatusChanged": "info",
      "OpenStackImageStuck": "warning",
      "OpenStackImageKilled": "critical",
      "OpenStackImageBackToQueued": "critical",
      "OpenStackImageContentChanged": "critical",
      "OpenStackImageBecamePublic": "critical",
      "OpenStackImageProtectionLost": "warning",
      "OpenStackImageSizeChanged": "warning",
      "OpenStackImageNotAsExpected": "warning",
      "OpenStackImageDataStale": "warning",
      "OpenStackImageNeverPolled": "warning",
      "OpenStackImageApiDown": "critical",
      "OpenStackImagePollFailures": "warning",
      "OpenStackImageApiServersDisagree": "warning",
      "OpenStackImageRateLimited": "warning",
      "OpenStackImageCyclesLate": "warning",
      "OpenStackImagePollingStopped": "critical",
      "OpenStackImageSignInFailing": "critical",
      "OpenStackImageTokenNotRenewed": "warning",
      "OpenStackImageClocksOff": "warning",
      "OpenStackImageReloadFailed": "warning",
      "OpenStackImageStateFileNotWritten": "warning",
      "OpenStackImageExporterDown": "critical",
      "OpenStackImageScrapeMisconfigured": "critical",
      "OpenStackImageShardMissing": "critical",
      "OpenStackImageShardsDisagree": "critical"
    },
    // What a value is compared with; the unit is in the alert's expression.
    thresholds: {
      "OpenStackImagePollFailures": 0.5,
      "OpenStackImageApiServersDisagree": 10,
      "OpenStackImageCyclesLate": 0.5,
      "OpenStackImagePollingStopped": 3,
      "OpenStackImageTokenNotRenewed": 60,
      "OpenStackImageClocksOff": 30
    },
    // How long a condition lasts before its alert fires. An alert without an entry fires at once.
    'for': {
      "OpenStackImageNotActive": "10m",
      "OpenStackImageStuck": "1h",
      "OpenStackImageNotAsExpected": "5m",
      "OpenStackImageDataStale": "15m",
      "OpenStackImageNeverPolled": "15m",
      "OpenStackImageApiDown": "5m",
      "OpenStackImagePollFailures": "15m",
      "OpenStackImageRateLimited": "10m",
      "OpenStackImageCyclesLate": "10m",
      "OpenStackImagePollingStopped": "1m",
      "OpenStackImageSignInFailing": "10m",
      "OpenStackImageTokenNotRenewed": "1m",
      "OpenStackImageClocksOff": "10m",
      "OpenStackImageReloadFailed": "5m",
      "OpenStackImageStateFileNotWritten": "10m",
      "OpenStackImageExporterDown": "5m",
      "OpenStackImageScrapeMisconfigured": "5m",
      "OpenStackImageShardMissing": "5m",
      "OpenStackImageShardsDisagree": "10m"
    },
  },

  local config = $._config,
  local parameters = {
    job: config.job,
    only: if config.selector == '' then '' else '{' + config.selector + '}',
    also: if config.selector == '' then '' else config.selector + ', ',
  },

  local record(rule) = rule { expr: super.expr % parameters },

  local alert(rule) = rule {
    expr: super.expr % (parameters { threshold: std.get(config.thresholds, rule.alert) }),
    [if std.objectHas(config['for'], rule.alert) then 'for']: config['for'][rule.alert],
    labels+: { severity: config.severities[rule.alert] },
    annotations+: { runbook_url: config.runbookURL + rule.alert + '.md' },
  },

  local groups(rules, convert) = {
    groups: [group { rules: std.map(convert, super.rules) } for group in rules],
  },

  prometheusRules+:: groups([
      {
        "name": "openstack-images-state",
        "rules": [
          {
            "record": "image_change:openstack_image_last_change_timestamp_seconds:max",
            "expr": "max by (cloud, image_id, image, change) (openstack_image_last_change_timestamp_seconds{%(also)schange!~\"back|gone\"}) > time() - 3600"
          },
          {
            "record": "cloud:openstack_image_exporter_targets:sum",
            "expr": "sum by (cloud) (\n  openstack_image_exporter_targets%(only)s\n  and on (job, namespace, instance) openstack_image_exporter_shards%(only)s > 1\n)\nor\nmax by (cloud) (openstack_image_exporter_targets%(only)s)"
          },
          {
            "record": "cloud:openstack_image_exporter_targets:last_day",
            "expr": "last_over_time(cloud:openstack_image_exporter_targets:sum[1d])"
          },
          {
            "record": "image_instance:openstack_image_poll_success:failed",
            "expr": "openstack_image_poll_success%(only)s == 0"
          },
          {
            "record": "image_state:openstack_image_state:before",
            "expr": "topk by (cloud, image_id, image, algorithm) (1,\n  time() * max by (cloud, image_id, image, status, public, protected, size_bytes, algorithm, digest) (\n    openstack_image_state_info{%(also)sstatus!=\"gone\"} offset 5m\n    unless on (cloud, image_id, image, status, public, protected, size_bytes, algorithm, digest) (\n      openstack_image_state_info{%(also)sstatus!=\"gone\"}\n      unless on (cloud, image_id, image, instance, job) image_instance:openstack_image_poll_success:cut_off\n    )\n    unless on (cloud, image_id, image, instance, job) image_instance:openstack_image_poll_success:cut_off offset 5m\n  )\n  or (\n    image_state:openstack_image_state:before > time() - 86400\n    unless image_state:openstack_image_state:current\n    unless on (cloud, image_id, image) (\n      (image_state:openstack_image_state:current offset 55m or image:openstack_image_status:code offset 55m)\n      and on (cloud, image_id, image) (image_state:openstack_image_state:current offset 3m or image:openstack_image_status:code offset 3m)\n      and on (cloud, image_id, image) (image_state:openstack_image_state:current or image:openstack_image_status:code)\n    )\n  )\n)"
          },
          {
            "record": "image_state:openstack_image_state:current",
            "expr": "max by (cloud, image_id, image, status, public, protected, size_bytes, algorithm, digest) (\n  openstack_image_state_info{%(also)sstatus!=\"gone\"}\n  and on (cloud, image_id, image) (\n    image_state:openstack_image_state:before\n    or on (cloud, image_id, image) image_instance:openstack_image_poll_success:failed\n    or on (cloud, image_id, image) image:openstack_image_status:remembered\n  )\n  unless on (cloud, image_id, image, instance, job) image_instance:openstack_image_poll_success:cut_off\n)"
          },
          {
            "record": "image_state:openstack_image_state:from",
            "expr": "image_state:openstack_image_state:before\nand on (cloud, image_id, image) image_state:openstack_image_state:current"
          },
          {
            "record": "image_state:openstack_image_state:to",
            "expr": "image_state:openstack_image_state:current\nand on (cloud, image_id, image) image_state:openstack_image_state:before"
          },
          {
            "record": "image:openstack_image_poll_success:max",
            "expr": "max by (cloud, image_id, image) (\n  openstack_image_poll_success%(only)s\n  and on (cloud, image_id, image) (\n    image_instance:openstack_image_poll_success:failed\n    or image:openstack_image_status:last\n    or image_state:openstack_image_state:unknown\n    or last_over_time(image:openstack_image_poll_success:max[5m]) == 0\n  )\n)"
          },
          {
            "record": "image_instance:openstack_image_poll_success:cut_off",
            "expr": "image_instance:openstack_image_poll_success:failed\nand on (cloud, image_id, image) image:openstack_image_poll_success:max == 1"
          },
          {
            "record": "image:openstack_image_status:code",
            "expr": "max by (cloud, image_id, image) (\n  (\n         1 * openstack_image_state_info{%(also)sstatus=\"queued\"}\n    or   2 * openstack_image_state_info{%(also)sstatus=\"saving\"}\n    or   3 * openstack_image_state_info{%(also)sstatus=\"uploading\"}\n    or   4 * openstack_image_state_info{%(also)sstatus=\"importing\"}\n    or   6 * openstack_image_state_info{%(also)sstatus=\"deactivated\"}\n    or   7 * openstack_image_state_info{%(also)sstatus=\"killed\"}\n    or  10 * openstack_image_state_info{%(also)sstatus!~\"active|deactivated|gone|importing|killed|queued|saving|uploading\"}\n    or 100 * openstack_image_state_info{%(also)sstatus=\"gone\"}\n  )\n  unless on (cloud, image_id, image, instance, job) image_instance:openstack_image_poll_success:cut_off\n)"
          },
          {
            "record": "image_state:openstack_image_state:unknown",
            "expr": "image_state:openstack_image_state:before\nunless on (cloud, image_id, image) image_state:openstack_image_state:current\nunless on (cloud, image_id, image) image:openstack_image_status:code"
          },
          {
            "record": "image:openstack_image_status:last",
            "expr": "image:openstack_image_status:remembered unless image:openstack_image_status:code"
          },
          {
            "record": "image:openstack_image_status:watched_timestamp_seconds",
            "expr": "time() * (image:openstack_image_status:last and on (cloud, image_id, image) image:openstack_image_poll_success:max) ^ 0\nor image:openstack_image_status:watched_timestamp_seconds and on (cloud, image_id, image) image:openstack_image_status:last\nor time() * image:openstack_image_status:last ^ 0"
          },
          {
            "record": "image:openstack_image_status:remembered",
            "expr": "image:openstack_image_status:code\nor (\n  image:openstack_image_status:remembered\n  and on (cloud) cloud:openstack_image_exporter_targets:last_day\n  unless on (cloud, image_id, image) image_state:openstack_image_state:current{status=\"active\"}\n  unless on (cloud, image_id, image) (\n    image:openstack_image_status:watched_timestamp_seconds < time() - 7200\n    and on (cloud) (cloud:openstack_image_exporter_targets:sum and cloud:openstack_image_exporter_targets:sum offset 15m)\n  )\n)"
          },
          {
            "record": "image:openstack_image_status:known",
            "expr": "image:openstack_image_status:code\nor (\n  image:openstack_image_status:remembered\n  unless on (cloud, image_id, image) image:openstack_image_status:watched_timestamp_seconds < time() - 600\n)"
          },
          {
            "record": "image:openstack_image_status:gone_as_expected",
            "expr": "max by (cloud, image_id, image) (\n  openstack_image_expectation_met{%(also)sexpectation=\"exists\"} == 1\n  and on (cloud, image_id, image) openstack_image_state_info{%(also)sstatus=\"gone\"}\n)\nor (\n  (\n    last_over_time(image:openstack_image_status:gone_as_expected[10m]) and last_over_time(image:openstack_image_status:code[5m]) == 100\n    or last_over_time(image:openstack_image_status:gone_as_expected[10m]) and image:openstack_image_status:remembered == 100\n  )\n  unless on (cloud, image_id, image) openstack_image_state_info{%(also)sstatus=\"gone\"}\n)"
          },
          {
            "record": "image:openstack_image_status:expected",
            "expr": "max by (cloud, image_id, image) (\n  openstack_image_expectation_met{%(also)sexpectation=\"status\"} == 1\n  and on (cloud, image_id, image) openstack_image_state_info{%(also)sstatus!~\"active|gone\"}\n)\nor (\n  last_over_time(image:openstack_image_status:expected[10m])\n  and (last_over_time(image:openstack_image_status:code[5m]) < 100 or image:openstack_image_status:remembered < 100)\n  unless on (cloud, image_id, image) openstack_image_state_info{%(also)sstatus!~\"active|gone\"}\n)"
          },
          {
            "record": "cloud:openstack_image_poll_success:many_down",
            "expr": "count by (cloud) (image:openstack_image_poll_success:max == 0) > 100\nand on (cloud) (\n  cloud:openstack_image_api_up:down\n  or (\n    max by (cloud) (last_over_time(openstack_image_api_up%(only)s[5m])) == 0\n    unless on (cloud) count by (cloud) (image:openstack_image_poll_success:failing) > 100\n  )\n)"
          },
          {
            "record": "image:openstack_image_poll_success:failing",
            "expr": "last_over_time(image:openstack_image_poll_success:max[5m]) == 0\nunless on (cloud) cloud:openstack_image_poll_success:many_down"
          },
          {
            "record": "image:openstack_image_poll_success:stale",
            "expr": "image:openstack_image_poll_success:failing\nand on (cloud, image_id, image) last_over_time(image_state:openstack_image_state:current[5m])\nor\nimage:openstack_image_poll_success:failing\nand on (cloud, image_id, image) image_state:openstack_image_state:unknown\nor\nimage:openstack_image_poll_success:failing\nand on (cloud, image_id, image) image:openstack_image_status:remembered\nor\nimage:openstack_image_poll_success:max\nand on (cloud, image_id, image) image_state:openstack_image_state:unknown\nunless on (cloud, image_id, image) image_state:openstack_image_state:current\nunless on (cloud, image_id, image) image:openstack_image_status:code\nunless on (cloud) cloud:openstack_image_poll_success:many_down"
          },
          {
            "record": "image:openstack_image_poll_success:never",
            "expr": "image:openstack_image_poll_success:failing unless image:openstack_image_poll_success:stale"
          },
          {
            "record": "image:openstack_image_labels:seen_timestamp_seconds",
            "expr": "topk by (cloud, image_id, image) (1,\n  time() * max without (instance, job, namespace, service, endpoint, container, pod) (openstack_image_labels%(only)s)\n  or\n  last_over_time(image:openstack_image_labels:seen_timestamp_seconds[15m]) > time() - 7200\n)"
          },
          {
            "record": "image_expectation:openstack_image_expectation_met:unmet",
            "expr": "max by (cloud, image_id, image, expectation) (openstack_image_expectation_met%(only)s == 0)\nor (\n  (\n    last_over_time(image_expectation:openstack_image_expectation_met:unmet[10m])\n    and on (cloud, image_id, image) (last_over_time(image:openstack_image_poll_success:max[10m]) or image:openstack_image_status:known)\n    or\n    image_expectation:openstack_image_expectation_met:unmet\n    and on (cloud) (last_over_time(cloud:openstack_image_exporter_targets:sum[10m]) unless on (cloud) openstack_image_exporter_targets%(only)s)\n  )\n  unless on (cloud, image_id, image, expectation) last_over_time(openstack_image_expectation_met%(only)s[10m]) == 1\n  unless on (cloud, image_id, image) (\n    (image_state:openstack_image_state:current or image:openstack_image_status:code)\n    and on (cloud) openstack_image_exporter_targets%(only)s\n  )\n)"
          },
          {
            "record": "image:openstack_image_labels:unmet",
            "expr": "image:openstack_image_labels:seen_timestamp_seconds\nand on (cloud, image_id, image) image_expectation:openstack_image_expectation_met:unmet"
          },
          {
            "record": "cloud:openstack_image_exporter_mass_disappearance:last_day",
            "expr": "max by (cloud) (max_over_time(openstack_image_exporter_mass_disappearance%(only)s[1d]))"
          },
          {
            "record": "cloud:openstack_image_mass_disappearance:known",
            "expr": "count by (cloud) (\n  image:openstack_image_status:known == 100\n  unless image:openstack_image_status:gone_as_expected\n)\nand on (cloud) (\n  max by (cloud) (\n    openstack_image_exporter_mass_disappearance%(only)s\n    unless on (job, namespace) openstack_image_exporter_shards%(only)s > 1\n  ) == 1\n  or\n  count by (cloud) (\n    image:openstack_image_status:known == 100\n    or (\n      image:openstack_image_poll_success:max == 0\n      unless on (cloud, image_id, image) last_over_time(image_state:openstack_image_state:current[10m])\n    )\n  )\n  >= max_over_time(cloud:openstack_image_exporter_targets:sum[10m])\n  and (\n    cloud:openstack_image_exporter_mass_disappearance:last_day == 1\n    or\n    count by (cloud) (\n      image:openstack_image_status:known == 100\n      and on (cloud, image_id, image) (\n        image_state:openstack_image_state:before\n        or on (cloud, image_id, image) openstack_image_last_change_timestamp_seconds{%(also)schange=\"gone\"} > time() - 3600\n      )\n    ) > 1\n    or\n    last_over_time(cloud:openstack_image_mass_disappearance:known[20m])\n  )\n)"
          },
          {
            "record": "image:openstack_image_status:gone",
            "expr": "(\n  image:openstack_image_status:known == 100\n  or\n  max by (cloud, image_id, image) (\n    openstack_image_last_change_timestamp_seconds{%(also)schange=\"gone\"} > time() - 300\n    and on (cloud, image_id, image) openstack_image_last_change_timestamp_seconds{%(also)schange=\"back\"}\n  )\n  <= on (cloud, image_id, image) max by (cloud, image_id, image) (openstack_image_last_change_timestamp_seconds{%(also)schange=\"back\"})\n)\nunless image:openstack_image_status:gone_as_expected\nunless on (cloud) cloud:openstack_image_mass_disappearance:known > 100"
          },
          {
            "record": "image:openstack_image_status:unwanted",
            "expr": "image:openstack_image_status:known < 100\nunless image:openstack_image_status:expected"
          },
          {
            "record": "image_change:openstack_image_state:changed_timestamp_seconds",
            "expr": "image_change:openstack_image_last_change_timestamp_seconds:max\nor\nlast_over_time(image_change:openstack_image_state:changed_timestamp_seconds[1h]) > time() - 3600\nor\ntime() * max by (cloud, image_id, image, change) (\n  label_replace(\n    topk by (cloud, image_id, image) (1, image_state:openstack_image_state:from)\n    unless on (cloud, image_id, image, status) image_state:openstack_image_state:to,\n    \"change\", \"status\", \"\", \"\"\n  )\n  or\n  label_replace(\n    image_state:openstack_image_state:from{public=\"false\"}\n    and on (cloud, image_id, image) image_state:openstack_image_state:to{public=\"true\"},\n    \"change\", \"public\", \"\", \"\"\n  )\n  or\n  label_replace(\n    image_state:openstack_image_state:from{protected=\"true\"}\n    and on (cloud, image_id, image) image_state:openstack_image_state:to{protected=\"false\"},\n    \"change\", \"unprotected\", \"\", \"\"\n  )\n  or\n  label_replace(\n    image_state:openstack_image_state:from{digest!=\"\"}\n    and on (cloud, image_id, image, algorithm) image_state:openstack_image_state:to\n    unless on (cloud, image_id, image, algorithm, digest) image_state:openstack_image_state:to,\n    \"change\", \"content\", \"\", \"\"\n  )\n  or\n  label_replace(\n    image_state:openstack_image_state:from{size_bytes!=\"\"}\n    and on (cloud, image_id, image) image_state:openstack_image_state:to{size_bytes!=\"\"}\n    unless on (cloud, image_id, image, size_bytes) image_state:openstack_image_state:to,\n    \"change\", \"size\", \"\", \"\"\n  )\n) ^ 0"
          },
          {
            "record": "image:openstack_image_status:requeued",
            "expr": "image:openstack_image_status:unwanted == 1\nand on (cloud, image_id, image) image_change:openstack_image_state:changed_timestamp_seconds{change=\"status\"}"
          },
          {
            "record": "image:openstack_image_status:changed",
            "expr": "max by (cloud, image_id, image) (image_change:openstack_image_state:changed_timestamp_seconds{change=\"status\"})\nunless image:openstack_image_status:known == 100\nunless on (cloud, image_id, image) (\n  openstack_image_state_info{%(also)sstatus=\"gone\"}\n  unless on (cloud, image_id, image, instance, job) image_instance:openstack_image_poll_success:cut_off\n)"
          }
        ]
      },
      {
        "name": "openstack-image-exporter-state",
        "rules": [
          {
            "record": "cloud_reason:openstack_image_poll_failures:per_cycle",
            "expr": "max by (cloud, reason) (\n  rate(openstack_image_exporter_poll_failures_total%(only)s[10m])\n  / ignoring (reason) group_left () (rate(openstack_image_exporter_polls_total%(only)s[10m]) > 0)\n  * ignoring (reason) group_left () last_over_time(openstack_image_exporter_targets%(only)s[5m])\n)"
          },
          {
            "record": "cloud:openstack_image_api_up:max",
            "expr": "max by (cloud) (last_over_time(openstack_image_api_up%(only)s[5m]))"
          },
          {
            "record": "cloud:openstack_image_api_up:down",
            "expr": "max_over_time(cloud:openstack_image_api_up:max[5m]) == 0\nand cloud:openstack_image_api_up:max offset 5m == 0"
          }
        ]
      }
    ], record),

  prometheusAlerts+:: groups([
      {
        "name": "openstack-images",
        "rules": [
          {
            "alert": "OpenStackImageGone",
            "expr": "0 * (\n  0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () image:openstack_image_status:gone\n  or on (cloud, image_id, image)\n  image:openstack_image_status:gone\n)\n+ on (cloud) group_left () count by (cloud) (image:openstack_image_status:gone)",
            "keep_firing_for": "10m",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} is gone from cloud {{ $labels.cloud }}",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ if le $value 100.0 }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} is gone: deleted, or no longer visible to the exporter's credentials. No new machine boots from it. First: `openstack image show {{ $labels.image_id }}` as an administrator; if it exists, check its visibility and the exporter's role."
            }
          },
          {
            "alert": "OpenStackImageMassDisappearance",
            "expr": "last_over_time(cloud:openstack_image_mass_disappearance:known[6m])",
            "keep_firing_for": "6m",
            "labels": {},
            "annotations": {
              "summary": "All images are gone from cloud {{ $labels.cloud }}",
              "description": "All configured images of cloud {{ $labels.cloud }} vanished at once while the API responds. A lost role, a wrong project or region, or a changed policy is more likely than deleted images. First: `openstack image list` and `openstack role assignment list --names` with the exporter's credentials."
            }
          },
          {
            "alert": "OpenStackImageNotActive",
            "expr": "0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () image:openstack_image_status:unwanted\nor on (cloud, image_id, image)\nimage:openstack_image_status:unwanted",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} is not active",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} has not been active for 10 minutes. Nothing boots from it. First: check its status with `openstack image show {{ $labels.image_id }}`."
            }
          },
          {
            "alert": "OpenStackImageDeactivated",
            "expr": "0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () (image:openstack_image_status:unwanted == 6)\nor on (cloud, image_id, image)\n(image:openstack_image_status:unwanted == 6)",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} is deactivated",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} was deactivated by an administrator: its data cannot be read, and nothing boots from it. First: find out who did it and why, then `openstack image set --activate {{ $labels.image_id }}`."
            }
          },
          {
            "alert": "OpenStackImageStatusChanged",
            "expr": "0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () image:openstack_image_status:changed\nor on (cloud, image_id, image)\nimage:openstack_image_status:changed",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} changed its status",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} changed its status in the last hour, and may have changed back. First: `openstack image show {{ $labels.image_id }}`, and find the change in the exporter's log."
            }
          },
          {
            "alert": "OpenStackImageStuck",
            "expr": "0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () (image:openstack_image_status:unwanted < 5)\nor on (cloud, image_id, image)\n(image:openstack_image_status:unwanted < 5)",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} is stuck and not active yet",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} has been queued, saving, uploading or importing for an hour. Nothing boots from it. First: `openstack image show {{ $labels.image_id }}`, then check whether its upload or import still runs."
            }
          },
          {
            "alert": "OpenStackImageKilled",
            "expr": "0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () (image:openstack_image_status:unwanted == 7)\nor on (cloud, image_id, image)\n(image:openstack_image_status:unwanted == 7)",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} is killed",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} is killed: its upload failed, and it will never become active. First: upload the image again, and put the new ID into the exporter's settings."
            }
          },
          {
            "alert": "OpenStackImageBackToQueued",
            "expr": "0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () image:openstack_image_status:requeued\nor on (cloud, image_id, image)\nimage:openstack_image_status:requeued",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} is back to queued",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} had data and is queued again: its upload failed or its data was removed from every store. Nothing boots from it. First: `openstack image show {{ $labels.image_id }}`, and check its stores and tasks."
            }
          },
          {
            "alert": "OpenStackImageContentChanged",
            "expr": "0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () image_change:openstack_image_state:changed_timestamp_seconds{change=\"content\"}\nor on (cloud, image_id, image)\nmax without (change) (image_change:openstack_image_state:changed_timestamp_seconds{change=\"content\"})",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} has different content under the same ID",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} has different content than before under the same ID: machines booted now differ from yesterday's. First: `openstack image show {{ $labels.image_id }}`, compare its checksum with that of your build, and stop rollouts until the change is explained."
            }
          },
          {
            "alert": "OpenStackImageBecamePublic",
            "expr": "0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () image_change:openstack_image_state:changed_timestamp_seconds{change=\"public\"}\nor on (cloud, image_id, image)\nmax without (change) (image_change:openstack_image_state:changed_timestamp_seconds{change=\"public\"})",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} became public",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} became public in the last hour: every project of the cloud can copy it. First: if this was a mistake, `openstack image set --private {{ $labels.image_id }}`, then treat every secret in it as leaked."
            }
          },
          {
            "alert": "OpenStackImageProtectionLost",
            "expr": "0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () image_change:openstack_image_state:changed_timestamp_seconds{change=\"unprotected\"}\nor on (cloud, image_id, image)\nmax without (change) (image_change:openstack_image_state:changed_timestamp_seconds{change=\"unprotected\"})",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} lost its protection",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} lost its protection in the last hour: its owner can now delete it by mistake. First: if this was a mistake, `openstack image set --protected {{ $labels.image_id }}`."
            }
          },
          {
            "alert": "OpenStackImageSizeChanged",
            "expr": "0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () image_change:openstack_image_state:changed_timestamp_seconds{change=\"size\"}\nor on (cloud, image_id, image)\nmax without (change) (image_change:openstack_image_state:changed_timestamp_seconds{change=\"size\"})",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} has a different size",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} has a different size than before under the same ID. First: `openstack image show {{ $labels.image_id }}`, and compare size and checksum with those of your build."
            }
          },
          {
            "alert": "OpenStackImageNotAsExpected",
            "expr": "0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"exists\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"status\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"protected\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"public\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"visibility\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"hidden\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"checksum\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"hash\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"size\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"min_disk\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"min_ram\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"disk_format\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"container_format\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"owner\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"name\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"properties\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"max_age\"}\nor 0 * image:openstack_image_labels:unmet + on (cloud, image_id, image) group_left (expectation) image_expectation:openstack_image_expectation_met:unmet{expectation=\"max_unchanged\"}\nor on (cloud, image_id, image, expectation)\nimage_expectation:openstack_image_expectation_met:unmet",
            "keep_firing_for": "5m",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} is not as expected: {{ $labels.expectation }}",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} does not meet an expectation of the exporter's settings: {{ $labels.expectation }}. First: `openstack-image-exporter check` with the exporter's settings prints expected and actual values; one of them is wrong."
            }
          },
          {
            "alert": "OpenStackImageDataStale",
            "expr": "0 * (\n  0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () image:openstack_image_poll_success:stale\n  or on (cloud, image_id, image)\n  image:openstack_image_poll_success:stale\n)\n+ on (cloud) group_left () count by (cloud) (image:openstack_image_poll_success:stale)",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} cannot be polled",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ if le $value 100.0 }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} could not be polled for 15 minutes. Its metrics are old, or were dropped. First: see the reason on the exporter's page or in its log, then run `openstack image show {{ $labels.image_id }}` with the exporter's credentials."
            }
          },
          {
            "alert": "OpenStackImageNeverPolled",
            "expr": "0 * (\n  0 * image:openstack_image_labels:seen_timestamp_seconds + on (cloud, image_id, image) group_left () image:openstack_image_poll_success:never\n  or on (cloud, image_id, image)\n  image:openstack_image_poll_success:never\n)\n+ on (cloud) group_left () count by (cloud) (image:openstack_image_poll_success:never)",
            "labels": {},
            "annotations": {
              "summary": "Image {{ $labels.image }} in cloud {{ $labels.cloud }} was never polled successfully",
              "description": "Image {{ $labels.image }} (ID {{ $labels.image_id }}{{ if le $value 100.0 }}{{ with printf \"topk(1, max by (name) (max_over_time(timestamp(openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" $labels.cloud $labels.image_id | query }}, named{{ range . }} {{ printf \"%q\" .Labels.name }}{{ end }}{{ end }}{{ end }}) in cloud {{ $labels.cloud }} is configured, but no poll of it has succeeded for 15 minutes, and no earlier result is known. It is unknown whether it exists. First: `openstack-image-exporter check` prints the reason; a wrong ID, endpoint or project is likely."
            }
          }
        ]
      },
      {
        "name": "openstack-image-exporter",
        "rules": [
          {
            "alert": "OpenStackImageApiDown",
            "expr": "max by (cloud) (last_over_time(openstack_image_api_up%(only)s[5m])) == 0\nor\nlast_over_time(cloud:openstack_image_api_up:down[4m])\nand on (cloud) max by (cloud) (last_over_time(openstack_image_api_up%(only)s[5m]))",
            "labels": {},
            "annotations": {
              "summary": "The Image service of cloud {{ $labels.cloud }} does not respond",
              "description": "No request to the Image service of cloud {{ $labels.cloud }} has succeeded with the exporter's credentials for 5 minutes. The state of its images is unknown; none is reported as gone because of this. First: `openstack image list` from the exporter's host, and the `reason` in its log."
            }
          },
          {
            "alert": "OpenStackImagePollFailures",
            "expr": "cloud_reason:openstack_image_poll_failures:per_cycle{reason!=\"rate_limited\"} > %(threshold)s\nunless (\n  cloud_reason:openstack_image_poll_failures:per_cycle{reason=\"not_polled\"}\n  and on (cloud) cloud_reason:openstack_image_poll_failures:per_cycle{reason=\"rate_limited\"} > 0\n)\nunless on (cloud) (\n  max by (cloud) (openstack_image_api_up%(only)s) == 1\n  and max by (cloud) (last_over_time(cloud:openstack_image_api_up:down[12m]))\n)",
            "labels": {},
            "annotations": {
              "summary": "Polls of cloud {{ $labels.cloud }} fail: {{ $labels.reason }}",
              "description": "Polls of images in cloud {{ $labels.cloud }} have failed for 15 minutes with the reason {{ $labels.reason }}, {{ printf \"%.1f\" $value }} images per cycle. First: see the failing images on the exporter's page, and details and request IDs in its log."
            }
          },
          {
            "alert": "OpenStackImageApiServersDisagree",
            "expr": "count_over_time(\n  (max by (cloud) (increase(openstack_image_exporter_contradictions_total%(only)s[5m])) > 0)[30m:1m]\n) > %(threshold)s",
            "keep_firing_for": "30m",
            "labels": {},
            "annotations": {
              "summary": "API servers of cloud {{ $labels.cloud }} contradict each other",
              "description": "The Image service of cloud {{ $labels.cloud }} has contradicted itself again and again in the last half hour: an image was found and not found, or was older than before. One of several API servers behind its endpoint probably has an empty, stale or wrong database. No image is reported as gone or changed because of a single server. First: find the server by the request IDs in the exporter's log, and take it out of the load balancer."
            }
          },
          {
            "alert": "OpenStackImageRateLimited",
            "expr": "max by (cloud) (increase(openstack_image_exporter_poll_failures_total{%(also)sreason=\"rate_limited\"}[5m])) > 0",
            "labels": {},
            "annotations": {
              "summary": "The Image service of cloud {{ $labels.cloud }} rate-limits the exporter",
              "description": "The Image service of cloud {{ $labels.cloud }} has rejected polls for 10 minutes because of too many requests. Images are polled late. First: set `rate_limit` below the rate that the cloud allows, or a longer `interval`."
            }
          },
          {
            "alert": "OpenStackImageCyclesLate",
            "expr": "max by (cloud) (increase(openstack_image_exporter_cycles_skipped_total%(only)s[5m])) > 0\nor\nmax by (cloud) (openstack_image_exporter_cycle_lag_seconds%(only)s / openstack_image_exporter_cycle_interval_seconds%(only)s) > %(threshold)s",
            "labels": {},
            "annotations": {
              "summary": "Polling of cloud {{ $labels.cloud }} is late",
              "description": "Poll cycles of cloud {{ $labels.cloud }} have started late or not at all for 10 minutes. First: check the exporter's CPU time, and compare `openstack_image_exporter_concurrency_needed` with `concurrency`."
            }
          },
          {
            "alert": "OpenStackImagePollingStopped",
            "expr": "max by (cloud) (\n  timestamp(openstack_image_exporter_last_cycle_timestamp_seconds%(only)s)\n  - openstack_image_exporter_last_cycle_timestamp_seconds%(only)s\n  > %(threshold)s * openstack_image_exporter_cycle_interval_seconds%(only)s\n)",
            "keep_firing_for": "2m",
            "labels": {},
            "annotations": {
              "summary": "Polling of cloud {{ $labels.cloud }} has stopped",
              "description": "No poll cycle of cloud {{ $labels.cloud }} has ended for three intervals although the scrapes of the exporter succeed. First: request `/-/healthy` of the exporter; if it is not 200, keep its log and restart it."
            }
          },
          {
            "alert": "OpenStackImageSignInFailing",
            "expr": "max by (cloud) (\n  increase(openstack_image_exporter_authentication_failures_total%(only)s[5m]) > 0\n  unless\n  openstack_image_exporter_authentications_total%(only)s\n  - openstack_image_exporter_authentications_total%(only)s offset 5m\n  > openstack_image_exporter_authentication_failures_total%(only)s\n  - openstack_image_exporter_authentication_failures_total%(only)s offset 5m\n)",
            "labels": {},
            "annotations": {
              "summary": "Sign-in to cloud {{ $labels.cloud }} fails",
              "description": "The exporter has failed to sign in to cloud {{ $labels.cloud }} for 10 minutes. When its token expires, no image can be polled. First: `openstack token issue` with its credentials."
            }
          },
          {
            "alert": "OpenStackImageTokenNotRenewed",
            "expr": "min by (cloud) (\n  openstack_image_exporter_token_expiry_timestamp_seconds%(only)s\n  - openstack_image_exporter_last_cycle_timestamp_seconds%(only)s\n) < %(threshold)s",
            "labels": {},
            "annotations": {
              "summary": "The token for cloud {{ $labels.cloud }} is not renewed",
              "description": "The exporter's token for cloud {{ $labels.cloud }} expires within a minute or has expired, and was not renewed. First: `openstack token issue` with its credentials, and the exporter's log."
            }
          },
          {
            "alert": "OpenStackImageClocksOff",
            "expr": "max by (cloud) (abs(openstack_image_exporter_clock_skew_seconds%(only)s)) > %(threshold)s",
            "labels": {},
            "annotations": {
              "summary": "The clocks of the exporter and of cloud {{ $labels.cloud }} differ",
              "description": "The clocks of the exporter and of the Image service of cloud {{ $labels.cloud }} have differed by {{ $value }} seconds for 10 minutes. Ages and token expiry times are wrong by that difference. First: `timedatectl` on the exporter's host."
            }
          },
          {
            "alert": "OpenStackImageReloadFailed",
            "expr": "min by (job) (openstack_image_exporter_config_last_reload_successful%(only)s) == 0",
            "labels": {},
            "annotations": {
              "summary": "The exporter of job {{ $labels.job }} rejected its new settings",
              "description": "An exporter of job {{ $labels.job }} could not reload its settings because they are invalid. It keeps the previous settings, and would not start with the new ones. First: `openstack-image-exporter check` with the new settings prints every error."
            }
          },
          {
            "alert": "OpenStackImageStateFileNotWritten",
            "expr": "max by (job) (\n  max without (cloud) (openstack_image_exporter_last_cycle_timestamp_seconds%(only)s)\n  - openstack_image_exporter_state_last_write_timestamp_seconds%(only)s > 300\n  and (\n    openstack_image_exporter_state_last_write_timestamp_seconds%(only)s > 0\n    or openstack_image_exporter_state_write_failures_total%(only)s > 0\n  )\n)",
            "labels": {},
            "annotations": {
              "summary": "The exporter of job {{ $labels.job }} cannot write its state file",
              "description": "An exporter of job {{ $labels.job }} has not written its state file for 10 minutes, although it polls. After a restart it will not know which images are gone, or what has changed. First: find \"state file cannot be written\" in its log, then check the space and the permissions of the file's folder."
            }
          },
          {
            "alert": "OpenStackImageExporterDown",
            "expr": "min by (job, namespace) (up{%(also)sjob=\"%(job)s\"}) == 0\nor\nabsent(up{%(also)sjob=\"%(job)s\"})",
            "labels": {},
            "annotations": {
              "summary": "The exporter of job {{ $labels.job }} is down",
              "description": "Prometheus has failed to scrape an exporter of job {{ $labels.job }} for 5 minutes, or has no such target. Its images are not monitored. First: check its target in Prometheus, then its process and its log."
            }
          },
          {
            "alert": "OpenStackImageScrapeMisconfigured",
            "expr": "count by (job, namespace) (\n  openstack_image_exporter_targets{%(also)sexported_cloud!=\"\"}\n  or openstack_image_exporter_targets{%(also)scloud=\"\"}\n  or openstack_image_poll_success{%(also)sexported_image!=\"\"}\n  or openstack_image_poll_success{%(also)sexported_image_id!=\"\"}\n)\nor\n(\n  max by (job, namespace) (scrape_samples_scraped{%(also)sjob=\"%(job)s\"}) > 0\n  unless on (job, namespace) openstack_image_exporter_targets%(only)s\n  unless on (job) openstack_image_exporter_targets{%(also)snamespace=\"\"}\n)\nor\n(\n  sum by (job, namespace) (\n    openstack_image_exporter_targets{%(also)sjob=\"%(job)s\"}\n    and on (job, namespace, cloud) openstack_image_exporter_last_cycle_timestamp_seconds%(only)s\n  ) > 0\n  unless on (job, namespace) openstack_image_poll_success%(only)s\n)",
            "labels": {},
            "annotations": {
              "summary": "The scrape configuration of job {{ $labels.job }} breaks these alerts",
              "description": "Prometheus stores the metrics of job {{ $labels.job }} without the labels or the series that these alerts need, so alerts are missing or name the wrong cloud. First: search its configuration for target labels named `cloud`, `image` or `image_id`; rename them, or set `honor_labels: true`."
            }
          },
          {
            "alert": "OpenStackImageShardMissing",
            "expr": "count by (job, namespace) (\n  count_values by (job, namespace) (\"index\", openstack_image_exporter_shard_index%(only)s)\n)\n< max by (job, namespace) (openstack_image_exporter_shards%(only)s)",
            "labels": {},
            "annotations": {
              "summary": "A shard of job {{ $labels.job }} is missing",
              "description": "Only {{ $value }} of the shards of job {{ $labels.job }} have been running for 5 minutes. The images of the others are not monitored. First: compare the number of exporters with their `shard.total`, then find the one that is not running."
            }
          },
          {
            "alert": "OpenStackImageShardsDisagree",
            "expr": "min by (job, namespace) (openstack_image_exporter_shards%(only)s)\n!= max by (job, namespace) (openstack_image_exporter_shards%(only)s)",
            "labels": {},
            "annotations": {
              "summary": "The shards of job {{ $labels.job }} disagree about their number",
              "description": "Exporters of job {{ $labels.job }} have been configured with different numbers of shards for 10 minutes; the smallest is {{ $value }}. Some images may not be polled, others twice. First: set the same `shard.total` everywhere."
            }
          }
        ]
      }
    ], alert),

  local dashboard(text) = std.parseJson(
    if config.selector == '' then text
    else
      // As within a string of JSON.
      local quoted = std.escapeStringJson(config.selector);
      local selector = std.substr(quoted, 1, std.length(quoted) - 2);
      local job = 'job=~\\"$job\\"';
      std.strReplace(
        std.strReplace(text, job, job + ', ' + selector),
        'build_info, job)',
        'build_info{' + selector + '}, job)'
      )
  ),

  grafanaDashboards+:: {
    'overview.json': dashboard(importstr 'overview.json'),
    'image.json': dashboard(importstr 'image.json'),
    'exporter.json': dashboard(importstr 'exporter.json'),
  },
}
