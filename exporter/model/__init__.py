"""Pure core: images, outcomes, observations, expectations. No I/O, threads or clocks."""
