// Package law holds the rules of the repository that a compiler does not know:
// who may import whom, what every document and manifest must say, what tests may
// not do. Each rule is a function over a file tree, so that it is also tried on a
// small tree that breaks it (testdata/<law>.txtar): a rule that finds nothing
// there checks nothing.
//
// A file is left alone when its path says that somebody else wrote it: see
// [Tree.Files].
package law
