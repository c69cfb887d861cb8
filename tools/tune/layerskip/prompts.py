"""Prompts for people who have none: every combination of a sentence with what it may be about, in random order.

What a model drafts well depends on what it was trained to draft, so the kinds are those that people ask for: code,
explanations, advice, writing, comparisons, lists and sums. Each kind is one share of the whole, however many combinations
it has.
"""
import itertools
import random
from collections.abc import Iterator

LANGUAGES = ["Python"] * 8 + ["JavaScript"] * 3 + ["Rust", "C", "C++", "Java", "Go", "TypeScript", "Ruby", "Kotlin"]

TASKS = """count the words in a sentence|check whether a word is a palindrome|count the vowels in a sentence|find the smallest number in a list
merge two sorted lists|remove duplicates from a list and keep the order|compute the factorial of a number|check whether a number is prime
list all primes up to n with a sieve|compute the nth Fibonacci number|convert Celsius to Fahrenheit|sort a list of people by age
find the longest word in a text|count the letters in a file|read a CSV file and compute the mean of a column
parse a JSON file and print all keys|implement a stack with push and pop|implement a deque|implement a linked list
insert into a binary search tree|traverse a binary tree in order|find the shortest path in a graph with breadth-first search
implement depth-first search on a graph|implement Dijkstra's algorithm|do a binary search in a sorted array|implement quicksort
implement merge sort|implement bubble sort|compute the greatest common divisor of two numbers|convert a number to Roman numerals
convert binary to decimal|check whether brackets are balanced|find all anagrams in a list of words|rotate a matrix by 90 degrees
multiply two matrices|transpose a matrix|flatten a nested list|split a list into chunks of size n|generate a random password
validate an email address|check the strength of a password|count the lines in a file|rename all files in a folder
find the largest file in a folder|download a web page and print its title|send an HTTP request and handle errors
retry a function three times when it fails|measure how long a function takes|cache the results of a slow function
write a log message with a timestamp|parse command-line arguments|read a number from the user and check it|play a guessing game
simulate rolling two dice|shuffle a deck of cards|implement tic-tac-toe|implement the game of life|draw a triangle of stars
print a multiplication table|compute compound interest|compute the distance between two points|compute the area of a polygon
find the median of a list|compute the standard deviation|find two numbers that sum to a target|find the longest common prefix
find the longest increasing subsequence|compute the edit distance of two words|group numbers by their last digit
invert a dictionary|merge two dictionaries and add the values|find missing numbers in a sequence|compress a string with run lengths
encrypt a text with the Caesar cipher|compute the sum of digits|compute the age of a person from a birthday|compute the days between two dates
format a date as day, month and year|convert seconds to hours and minutes|implement a bank account with deposit and withdraw
model a library with books and members|model a shopping cart with discounts|model shapes with an area method|implement an event queue
implement a least recently used cache|implement a trie|implement a priority queue|implement a hash map
implement a rate limiter|implement a simple calculator|evaluate a postfix expression|tokenize an arithmetic expression
replace all tabs by spaces in a file|find all links in an HTML page|extract all numbers from a text|capitalise every word
remove punctuation from a text|wrap a text to 80 columns|compare two files line by line|write a list of records to a CSV file
count unique visitors in a log file|find the most common error in a log file|plot a sine curve|fit a line to points
train a simple linear regression|normalise a list of numbers|compute a moving average|build a small web server with one route
store users in a SQLite database|hash a password|create a thread that counts to ten|run two tasks at the same time""".replace("\n", "|").split("|")

CODE = ["Write a {language} function to {task}.", "Write {language} code to {task}.", "How do I {task} in {language}?",
        "Show me how to {task} in {language}, with comments.", "Implement a {language} program to {task}. Explain each step.",
        "Write a short {language} script to {task} and give an example of its use.",
        "I am learning {language}. Give me a simple example of how to {task}.",
        "Write a {language} function to {task}, then write three tests for it.",
        "Write a function in {language} to {task}. Handle invalid input.", "What is the best way to {task} in {language}? Show code.",
        "Write a {language} class to {task}.", "Give me only the code: {task} in {language}."]

SNIPPETS = """def f(items):\\n    total = 0\\n    for x in items:\\n        total += x\\n    return total / len(items)
def find(a, x):\\n    for i in range(len(a)):\\n        if a[i] == x:\\n            return i\\n    return -1
for (let i = 0; i < list.length; i++) {\\n  console.log(list[i].name);\\n}
def add_item(item, items=[]):\\n    items.append(item)\\n    return items
def count(text):\\n    words = {}\\n    for w in text.split():\\n        words[w] = words.get(w, 0) + 1\\n    return words
int max(int *a, int n) {\\n  int m = 0;\\n  for (int i = 0; i < n; i++) if (a[i] > m) m = a[i];\\n  return m;\\n}
def is_even(n):\\n    if n % 2 == 0:\\n        return True\\n    else:\\n        return False
SELECT name, COUNT(*) FROM orders GROUP BY name HAVING COUNT(*) > 3;
const add = (a, b) => a + b;\\nconsole.log([1, 2, 3].map(x => add(x, 10)));
class Dog:\\n    def __init__(self, name):\\n        self.name = name\\n    def speak(self):\\n        print(self.name + " says woof")
fn main() {\\n    let numbers = vec![1, 2, 3];\\n    let sum: i32 = numbers.iter().sum();\\n    println!("{}", sum);\\n}
def fib(n):\\n    return n if n < 2 else fib(n - 1) + fib(n - 2)
with open("data.txt") as file:\\n    lines = [line.strip() for line in file if line]
while True:\\n    answer = input("Continue? ")\\n    if answer == "no":\\n        break
numbers = [5, 2, 9]\\nnumbers.sort(reverse=True)\\nprint(numbers[0])
try:\\n    value = int(text)\\nexcept ValueError:\\n    value = 0""".split("\n")

ON_CODE = ["Explain what this code does:\n{snippet}", "Find the bug in this code, if there is one:\n{snippet}",
           "Rewrite this code so that it is easier to read:\n{snippet}", "Add comments to this code:\n{snippet}",
           "Write tests for this code:\n{snippet}", "Translate this code to JavaScript:\n{snippet}",
           "Translate this code to Python:\n{snippet}", "What does this code print?\n{snippet}",
           "How could this code be made faster?\n{snippet}", "Add error handling to this code:\n{snippet}"]

TOPICS = """photosynthesis|gravity|the water cycle|black holes|plate tectonics|evolution|the immune system|vaccines|DNA|antibiotics
climate change|the greenhouse effect|renewable energy|nuclear power|electricity|magnetism|the speed of light|atoms|chemical bonds
acids and bases|the periodic table|volcanoes|earthquakes|tides|the seasons|the moon|the solar system|rockets|satellites|telescopes
the Roman Empire|ancient Egypt|the French Revolution|the Industrial Revolution|the Cold War|the Silk Road|the Renaissance
the printing press|democracy|the constitution|human rights|inflation|supply and demand|the stock market|compound interest|taxes
insurance|mortgages|budgets|marketing|machine learning|neural networks|databases|the internet|encryption|passwords|blockchain
cloud computing|operating systems|compilers|algorithms|recursion|version control|open source software|robots|3D printing
virtual reality|video games|chess|football|swimming|yoga|meditation|sleep|nutrition|vitamins|protein|stress|memory|attention
language learning|bilingual children|reading|poetry|jazz|classical music|painting|photography|film editing|architecture|bridges
trains|bicycles|electric cars|aeroplanes|coffee|chocolate|bread|cheese|gardening|bees|whales|cats|dogs|horses|forests|rivers
deserts|coral reefs|recycling|urban planning|public transport|friendship|leadership|teamwork|negotiation|motivation|habits
critical thinking|logic|statistics|probability|fractions|geometry|algebra|calculus""".replace("\n", "|").split("|")

EXPLAIN = ["Explain {topic}.", "Explain {topic} to a child.", "What is {topic}?", "How does {topic} work?" , "Tell me about {topic}.",
           "Why is {topic} important?", "Give me an overview of {topic}.", "What are common misconceptions about {topic}?",
           "What should a beginner know about {topic}?", "Describe the history of {topic}.", "Summarise what you know about {topic} in three sentences.",
           "What are the advantages and disadvantages of {topic}?", "Write an essay about {topic}.", "Give an example of {topic} in everyday life.",
           "What questions about {topic} are still open?", "Write five quiz questions about {topic} with answers."]

GOALS = """learn to cook|wake up earlier|run a marathon|save money|find a new job|prepare for a debate|write a book|learn the guitar
make new friends|plan a wedding|plan a trip to Japan|plan a weekend in Paris|pack for a hike|start a garden|adopt a dog|move to a new city
start a small business|build a website|learn to program|pass an exam|read more|eat less sugar|lose weight|build muscle
reduce stress|stop procrastinating|give a speech|ask for a raise|deal with a difficult colleague|resolve an argument|apologise to a friend
choose a laptop|sell an old car|repair a bicycle|paint a room|clean the kitchen|organise a desk|throw a birthday party|teach a child to read
care for a houseplant|train for a triathlon|learn Spanish|improve handwriting|invest for the first time|get out of debt|write a CV
lead a meeting|work from home|keep a diary""".replace("\n", "|").split("|")

ADVISE = ["How can I {goal}?", "I want to {goal}. Where do I start?", "Give me ten tips to {goal}.", "Make a plan for four weeks to {goal}.",
          "What mistakes do people make when they try to {goal}?", "Help me {goal}.", "Write a checklist for somebody who wants to {goal}.",
          "My friend would like to {goal}. What would you recommend?", "Is it hard to {goal}?", "Motivate me to {goal}.",
          "What do I need to {goal}, and what does it cost?", "Describe a typical day of a person who tries to {goal}."]

FORMS = ["a short story", "a poem", "a haiku", "a song", "a blog post", "a news article", "a letter", "an email to a colleague", "a dialogue",
         "a speech", "a product description", "a review", "a diary entry", "a fairy tale", "a joke", "an advertisement", "a scene of a play",
         "a LinkedIn post", "an invitation", "the beginning of a novel"]

SUBJECTS = """a lost dog|a storm at sea|the first day of school|a robot that learns to paint|an old lighthouse|a train journey at night
a talking cat|a forgotten letter|a city in the clouds|the last tree|a new coffee machine|a summer in the mountains|two brothers
a detective without a case|a garden in winter|a broken clock|the sea|autumn|a grandmother's kitchen|a football match|a journey to Mars
a library at midnight|a market in Morocco|an unexpected guest|a delayed flight|a small bakery|a dragon who is afraid of fire
a rainy Sunday|the moon|a missing key|a birthday|a team that never gives up|a piano|a village festival|a snowstorm|a cup of tea
a mysterious neighbour|a lost city|learning to swim|an honest thief""".replace("\n", "|").split("|")

WRITE = ["Write {form} about {subject}.", "Write {form} of about a hundred words about {subject}.", "Write {form} about {subject} with a surprising end.",
         "Write {form} about {subject} for children.", "Can you write {form} about {subject}?", "Compose {form} on {subject} in a formal style."]

PAIRS = """cats, dogs|tea, coffee|Python, JavaScript|a virus, a bacterium|a novel, a short story|a planet, a star
solar power, wind power|trains, planes|city life, country life|books, films|a simile, a metaphor|mitosis, meiosis|a list, a tuple
TCP, UDP|an array, a linked list|renting, buying|running, cycling|Android, iOS|Linux, Windows|a democracy, a monarchy|jazz, blues
speed, velocity|mass, weight|supervised learning, unsupervised learning|stocks, bonds|saving, investing|yoga, pilates
an engine, a motor|frogs, toads|a compiler, an interpreter|a process, a thread|HTTP, HTTPS|SQL, NoSQL|butter, margarine
coal, natural gas|impressionism, expressionism|a lawyer, a judge|empathy, sympathy|a debit card, a credit card""".replace("\n", "|").split("|")

COMPARE = ["What is the difference between {a} and {b}?", "Compare {a} and {b}.", "Which is better, {a} or {b}?",
           "Make a table that compares {a} and {b}.", "When would you choose {a} over {b}?", "Do {a} and {b} have something in common?"]

THINGS = """countries in Europe|African capitals|fruits rich in vitamin C|famous painters|programming languages|board games|healthy breakfasts
ideas for a birthday present|names for a cat|names for a coffee shop|types of clouds|chemical elements and their uses|famous inventions
animals that live in the desert|musical instruments|jobs of the future|ways to save water|ways to use less plastic|questions for an interview
questions to ask on a first date|films for a rainy day|exercises without equipment|vegetarian dinners|side dishes for fish
team-building activities|science projects for school|topics for an essay|slogans for a bicycle shop|interesting facts about octopuses
famous bridges|rivers in Asia|words for happy|idioms about time|proverbs and their meaning|uses of a paper clip""".replace("\n", "|").split("|")

LIST = ["List ten {things}.", "Give me five {things}.", "Name {things}, with one sentence for each.", "Make a numbered list of {things}.",
        "Write {things} as a JSON array.", "Write a Markdown table of {things}.", "What are some {things}?"]

NAMES = ["Anna", "Omar", "Lucy", "Wei", "Carlos", "Nina", "Tom", "Fatima", "Sam", "Priya", "Jack", "Mia"]

SUMS = ["{name} has {a} apples, buys {b} more and gives {c} to a friend. How many apples are left?",
        "A box holds {a} pencils. How many pencils are in {b} boxes, and how many are left after {c} are used?",
        "What is {a} plus {b} times {c}? Show your steps.", "What is {a} percent of {d}?", "Solve for x: {b}x + {a} = {d}.",
        "A train goes {d} kilometres in {c} hours. What is its average speed?", "{name} earns {d} dollars a week and saves {a} percent. How much is saved after {b} weeks?",
        "A rectangle is {a} metres long and {b} metres wide. Find its area and its perimeter.",
        "{name} reads {a} pages a day. How many days does a book of {d} pages take?",
        "The sum of two numbers is {d} and their difference is {c}. Find both numbers.",
        "There are {a} boys and {b} girls in a class. What share of the class are girls?",
        "A shirt costs {a} dollars and is reduced by {b} percent. What is the new price?",
        "{name} is {b} years old and has a mother {c} times as old. How old is the mother in {a} years?",
        "Compute the mean of {a}, {b}, {c} and {d}.", "If {b} workers need {a} days for a wall, how long do {c} workers need?"]


def sums(rng: random.Random) -> Iterator[str]:
    """Sums with drawn numbers, without end."""
    while True:
        yield rng.choice(SUMS).format(name=rng.choice(NAMES), a=rng.randint(5, 60), b=rng.randint(3, 25), c=rng.randint(2, 9),
                                      d=rng.randint(100, 900))


def combine(sentences: list[str], **lists: list[str]) -> list[str]:
    """Every sentence with every combination of the lists, each once."""
    parts = itertools.product(sentences, *lists.values())
    return list(dict.fromkeys(sentence.format(**dict(zip(lists, rest))) for sentence, *rest in parts))


def kinds(rng: random.Random) -> dict[str, Iterator[str]]:
    """The prompts of each kind in random order; code and explanations, which people ask for most, are several kinds."""
    language = lambda: rng.choice(LANGUAGES)
    code = [sentence.format(language=language(), task=task) for sentence in CODE for task in TASKS for _ in range(2)]
    code = list(dict.fromkeys(code))
    pairs = [dict(zip("ab", pair.split(", "))) for pair in PAIRS]
    lists = {"code": code[::2], "more code": code[1::2],
             "on code": combine(ON_CODE, snippet=[text.replace("\\n", "\n") for text in SNIPPETS]),
             "explain": combine(EXPLAIN, topic=TOPICS[::2]), "explain more": combine(EXPLAIN, topic=TOPICS[1::2]),
             "advise": combine(ADVISE, goal=GOALS), "write": combine(WRITE, form=FORMS, subject=SUBJECTS),
             "compare": [sentence.format(**pair) for sentence in COMPARE for pair in pairs],
             "list": combine(LIST, things=THINGS)}
    for prompts in lists.values():
        rng.shuffle(prompts)
    return {**{kind: iter(prompts) for kind, prompts in lists.items()}, "sums": sums(rng)}


def prompts(count: int, seed: int) -> list[dict]:
    """`count` rows {source, turns} in random order, the same for the same seed, each prompt once; fewer where a kind has no more
    to give."""
    rng, rows, seen = random.Random(seed), [], set()
    found = kinds(rng)
    for kind in itertools.islice(itertools.cycle(found), count):
        text = next((text for text in found[kind] if text not in seen), None)
        if text is not None:
            seen.add(text)
            rows.append({"source": kind, "turns": [text]})
    rng.shuffle(rows)
    return rows
