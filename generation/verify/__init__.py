"""Human verification: annotators label a random sample of a release's images; their votes make a new release.

    prepare   release -> tasks: sampled images, gold questions, annotators per image, cost estimate
    serve     tasks -> annotation page for colleagues, Prolific and Mechanical Turk -> votes
    export, import   the same without the page: Mechanical Turk batches, Label Studio, CSV
    aggregate votes -> verdicts and a report
    audit     verdicts + screens of the release -> share of right images, with intervals
    exclude, forget   an annotator's votes without weight; without a person
    apply     release + verdicts -> new version of the release

A tasks folder holds `tasks.json`, `images/`, `votes.sqlite` and `secret`; the last two never leave it.
"""
