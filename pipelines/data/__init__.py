"""From files and arrays to a stream of experiences.

`streams` is the ordered sequence of experiences that everything else uses; `samples` holds labelled samples, `splits`,
`transforms` and `blurry_streams` decide which samples an experience has, `fingerprint` gives equal data equal hashes.
`datasets` has one file for each kind of data, `images` decodes image files. Other folders import `streams`, `samples`
and what else they use from its own module; `pipelines` gives `build_stream`.
"""
