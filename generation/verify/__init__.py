"""Human verification: people look at a random sample of a release's images, and a new version says what they saw.

    prepare   release -> tasks: which images, known pairs among them, how many people, what it costs
    serve     tasks -> a page for colleagues, Prolific and Mechanical Turk -> votes
    export, import   the same for who does not use the page: Mechanical Turk's batches, Label Studio, CSV
    aggregate votes -> verdicts and a report
    apply     release + verdicts -> a new version of the release

A folder of tasks holds `tasks.json`, `images/`, `votes.sqlite` and `secret`; the last two never leave it.
"""
