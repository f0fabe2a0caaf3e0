"""The programs that do the work: replsync and its peers, each as its users would have it do its best."""
