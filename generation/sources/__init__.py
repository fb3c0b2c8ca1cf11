"""Where photos come from: image folders, data sets of the Hub, the drawn sample."""
