"""Files by their paths, in a folder or in a bucket: what features, donations and the data root are kept with."""
