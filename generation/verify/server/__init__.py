"""The page that people vote on: its app, signed links, who may ask what and how often, the monitor."""
