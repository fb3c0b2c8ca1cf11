"""Release -> tasks folder: random sample of images, attention checks, questions, views, cost estimate."""
